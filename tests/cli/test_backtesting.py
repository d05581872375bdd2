"""`canary backtest`: another policy over the evidence that a controller has stored."""

import json
from pathlib import Path

import msgspec
import pytest

from controller.wire.api.judging import ImpactView, LedgerView
from controller.wire.api.rollouts import RolloutView
from controller.wire.manifests import Manifest
from tests.cli import forms
from tests.cli.conftest import Run
from tests.cli.forms import listed
from tests.cli.stub import StubController
from tests.usecases.true_ledgers import true_ledger

HERE = "/api/v1/rollouts/unified-emitter"
POLICY = """\
rollout: unified-emitter
flag: emitter
control: legacy
canary: unified
stages:
  - {share: 10%, bake: 10m}
  - {share: 50%, bake: 10m}
  - {share: 100%, bake: 10m}
"""


@pytest.fixture(scope="module")
def failed() -> LedgerView:
    """A canary that fails from slot 45 on."""
    ledger = true_ledger(failing_from=45)
    [begun] = ledger.rounds
    end = ledger.slots[-1].closed_ms
    begun.ended_ms, begun.decided_ms, begun.ended_as, begun.ended_by = end, end, "rolled_back", "judge"
    return ledger


@pytest.fixture
def ledger(failed: LedgerView, tmp_path: Path) -> LedgerView:
    """A copy to spoil, with the policy it was judged by."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    return msgspec.json.decode(msgspec.json.encode(failed), type=LedgerView)


def publish(stub: StubController, ledger: LedgerView, **manifest: object) -> RolloutView:
    """Let the stub tell a rollout that is over."""
    facts = {"rollout": "unified-emitter", "flag": "emitter", "control": "legacy", "canary": "unified"}
    stages = [{"share": "10%", "bake": "10m"}, {"share": "50%", "bake": "10m"}, {"share": "100%", "bake": "10m"}]
    ledger.manifest = msgspec.convert({**facts, "stages": stages, **manifest}, type=Manifest)
    last = forms.analysis()
    last.seq = ledger.slots[-1].seq
    shown = forms.rollout("rolled_back", round=1, analysis=last)
    shown.started_ms, shown.ended_ms = ledger.slots[0].closed_ms, ledger.slots[-1].closed_ms
    stub.on("GET", HERE, shown)
    stub.on("GET", f"{HERE}/decisions", listed())
    stub.on("GET", f"{HERE}/ledger", ledger)
    stub.on("GET", f"{HERE}/impact", ImpactView(0, 1, 900, 1_234, 40, []))
    stub.on("GET", "/api/v1/rollouts", listed(shown))
    return shown


def test_the_policy_that_judged_it_acts_at_the_same_moment(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    done = run("backtest", "-f", "policy.yaml", "--rollout", "unified-emitter")
    assert done.exit_code == 0, done.stderr
    [row] = [line for line in done.stdout.splitlines() if line.startswith("unified-emitter  ")]
    assert "rollback at " in row
    [found] = json.loads(run("backtest", "-f", "policy.yaml", "--rollout", "unified-emitter", "--json").stdout)
    assert found["would_ms"] is not None


def test_a_stricter_policy_saves_failed_events(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    ledger.rounds[0].decided_ms = ledger.slots[-1].closed_ms + 60_000
    done = run("backtest", "-f", "policy.yaml", "--rollout", "unified-emitter")
    assert "earlier than it was rolled back" in done.stdout
    assert "1,234 fewer" in done.stdout
    asked = [one.query for one in stub.asked if one.path.endswith("/impact")]
    assert int(asked[0]["from_ms"]) < int(asked[0]["to_ms"]) == ledger.rounds[0].decided_ms


def test_it_is_drawn(run: Run, stub: StubController, ledger: LedgerView, tmp_path: Path) -> None:
    publish(stub, ledger)
    assert run("backtest", "-f", "policy.yaml", "--rollout", "unified-emitter", "--plot", "b.svg").exit_code == 0
    text = (tmp_path / "b.svg").read_text()
    assert "under this policy" in text
    assert "was rolled back" in text


def test_a_period_takes_every_rollout_that_was_live_in_it(run: Run, stub: StubController, ledger: LedgerView) -> None:
    publish(stub, ledger)
    within = run("backtest", "-f", "policy.yaml", "--from", "2026-02-25", "--to", "2026-02-26")
    assert "rollback at " in within.stdout
    after = run("backtest", "-f", "policy.yaml", "--from", "2026-03-01")
    assert after.stdout == "nothing to try it on\n"


def test_in_a_period_what_does_not_fit_is_named_and_left_out(
    run: Run, stub: StubController, ledger: LedgerView
) -> None:
    publish(stub, ledger, unit="event")
    done = run("backtest", "-f", "policy.yaml", "--from", "2026-02-25")
    assert done.exit_code == 0
    assert done.stderr.startswith("unified-emitter is left out: ")
    assert done.stdout == "nothing to try it on\n"


def test_a_policy_that_asks_for_what_was_not_counted_is_refused(
    run: Run, stub: StubController, ledger: LedgerView
) -> None:
    publish(stub, ledger, unit="event")
    done = run("backtest", "-f", "policy.yaml", "--rollout", "unified-emitter")
    assert done.exit_code == 1
    assert "counted by event" in done.stderr
    assert "(unit)" in done.stderr


@pytest.mark.parametrize("options", [(), ("--rollout", "r", "--from", "2026-01-01"), ("--from", "yesterday")])
def test_options_that_do_not_go_together_are_refused(
    run: Run, stub: StubController, ledger: LedgerView, options: tuple[str, ...]
) -> None:
    publish(stub, ledger)
    done = run("backtest", "-f", "policy.yaml", *options)
    assert done.exit_code == 2
