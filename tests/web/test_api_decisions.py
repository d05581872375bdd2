"""What was found and decided, and the ledger from which anybody can replay it."""

import msgspec

from controller.usecases.replay import replay
from controller.wire.api.judging import LedgerView
from tests.web.callers import Caller, Door, evidence, report

PATH = "/api/v1/rollouts/unified-emitter"


def judged(operator: Caller, sdk: Caller, door: Door, slots: int = 5) -> None:
    """A rollout that was fine for a few slots and then was not."""
    operator.started()
    for seq in range(slots):
        failed = 40 if seq == slots - 1 else 0
        rows = [evidence("canary", failed, 40), evidence("control", 1, 100, "tool_completed")]
        sdk.post("/sdk/v1/reports", report(f"batch-{seq:04}", seq=seq, evidence=rows))
        door.clock.advance(10_000)
        door.judge()


def test_the_ledger_replays_bit_for_bit_from_its_pages(operator: Caller, sdk: Caller, door: Door) -> None:
    judged(operator, sdk, door)
    pages = [msgspec.json.decode(operator.get(f"{PATH}/ledger?limit=2").data, type=LedgerView)]
    while pages[-1].next_seq is not None:
        more = operator.get(f"{PATH}/ledger?limit=2&after={pages[-1].next_seq}")
        pages.append(msgspec.json.decode(more.data, type=LedgerView))
    slots = [slot for page in pages for slot in page.slots]
    replayed = list(replay(pages[0].rounds, slots))
    assert [slot.seq for slot in slots] == [1, 2, 3, 4, 5]
    assert [found.differs for found in replayed] == [()] * 5
    assert replayed[-1].action == "rollback"
    assert pages[0].manifest is not None
    assert pages[0].manifest.rollout == "unified-emitter"


def test_a_draft_has_no_ledger(operator: Caller, sdk: Caller, door: Door) -> None:
    del sdk, door
    operator.post("/api/v1/flags", {"key": "emitter", "variants": {"legacy": 0, "unified": 1}, "control": "legacy"})
    stages = [{"share": "100%", "bake": "1m"}]
    manifest = {"rollout": "r", "flag": "emitter", "control": "legacy", "canary": "unified", "stages": stages}
    operator.post("/api/v1/rollouts", manifest)
    answer = operator.get("/api/v1/rollouts/r/ledger")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_decisions_name_the_actor_and_the_arithmetic(operator: Caller, sdk: Caller, door: Door) -> None:
    judged(operator, sdk, door)
    start, rollback = operator.get(f"{PATH}/decisions").json["items"]
    assert (start["actor"], start["action"], start["share_percent"]) == ("operator of the tests", "start", 10)
    assert (rollback["actor"], rollback["from_phase"], rollback["to_phase"]) == ("judge", "progressing", "rolling_back")
    assert (rollback["seq"], rollback["arithmetic"]["failed_milli_units"]) == (5, 40_000)
    second = operator.get(f"{PATH}/decisions?after={start['id']}").json
    assert [act["id"] for act in second["items"]] == [rollback["id"]]


def test_analyses_come_in_pages_and_in_order(operator: Caller, sdk: Caller, door: Door) -> None:
    judged(operator, sdk, door)
    first = operator.get(f"{PATH}/analyses?limit=3").json
    rest = operator.get(f"{PATH}/analyses?after={first['next']}").json
    assert [row["seq"] for row in first["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next"] is None
    assert [row["verdict"] for row in rest["items"]] == ["inconclusive", "fail"]


def test_instances_are_listed_with_their_open_runs_and_expire(operator: Caller, sdk: Caller, door: Door) -> None:
    operator.started()
    arms = [{"flag": "emitter", "variant": "unified", "open_runs": 3}]
    sdk.post("/sdk/v1/reports", report(revision=3, app_version="1.2", region="eu", arms=arms))
    sdk.get("/sdk/v1/snapshot", {"Canary-Instance": "flagd-9", "Canary-Reports": "0"})
    chat, flagd = operator.get("/api/v1/instances").json["items"]
    assert (chat["id"], chat["state"], chat["revision"], chat["app_version"]) == ("chat-1", "live", 3, "1.2")
    assert chat["open_runs"] == {"emitter/unified": 3}
    assert (flagd["id"], flagd["reports"]) == ("flagd-9", False)
    door.clock.advance(130_000)
    assert {row["state"] for row in operator.get("/api/v1/instances").json["items"]} == {"expired"}
