"""The chain of the audit trail: any change of an entry, and any that is missing, shows."""

from typing import Any

import pytest

from controller.domain.chain import GENESIS, ChainCheck, Head, entry_digest, head_of


def chain(length: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    previous = GENESIS
    for seq in range(1, length + 1):
        entry: dict[str, Any] = {
            "at_ms": seq,
            "actor": "ann",
            "action": "flag.killed",
            "subject": "flag/x",
            "reason": 'ü \u2028 "quoted"',
            "before": {"b": 1, "a": [1, None]},
            "after": None,
            "request_id": "",
        }
        digest = entry_digest(seq, previous, entry)
        entries.append({**entry, "seq": seq, "previous": previous, "digest": digest})
        previous = digest
    return entries


def fault_of(entries: list[dict[str, Any]], *noted: Head) -> str:
    check = ChainCheck(noted)
    check.follow(entries)
    check.end()
    return check.fault


def head(entries: list[dict[str, Any]]) -> Head:
    return Head(entries[-1]["seq"], entries[-1]["digest"])


def test_a_chain_as_it_was_written_fits() -> None:
    entries = chain(5)
    assert fault_of(entries, head(entries), head(entries[:3])) == ""
    assert fault_of([], Head()) == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [("actor", "bob"), ("at_ms", 9), ("reason", ""), ("before", {"b": 2}), ("after", {}), ("digest", "0")],
)
def test_a_changed_field_is_found_at_its_entry(field: str, value: Any) -> None:
    entries = chain(5)
    entries[2][field] = value
    assert fault_of(entries) == "entry 3 was changed"


def test_an_entry_that_was_changed_and_sealed_again_breaks_the_next() -> None:
    entries = chain(5)
    entries[2]["actor"] = "bob"
    entries[2]["digest"] = entry_digest(3, entries[2]["previous"], entries[2])
    assert fault_of(entries) == "entry 4 was changed"


def test_missing_and_repeated_entries_are_named() -> None:
    entries = chain(6)
    assert fault_of(entries[:2] + entries[3:]) == "entry 3 is missing"
    assert fault_of(entries[:1] + entries[4:]) == "entry 2 to 4 is missing"
    assert fault_of(entries[:3] + entries[2:]) == "entry 3 comes twice"
    assert fault_of(entries[:4], head(entries)) == "the chain ends at entry 4; entries up to 6 are missing"


def test_a_chain_that_was_written_anew_does_not_meet_the_head_that_was_noted() -> None:
    noted = head(chain(5))
    forged = chain(5)
    for at in range(2, 5):
        forged[at]["actor"] = "mallory"
        forged[at]["previous"] = forged[at - 1]["digest"]
        forged[at]["digest"] = entry_digest(at + 1, forged[at]["previous"], forged[at])
    assert fault_of(forged) == ""
    assert "written anew" in fault_of(forged, noted)


def test_a_head_is_read_back_as_it_is_written() -> None:
    entries = chain(1)
    assert head_of(f" {head(entries)}\n") == head(entries)
    assert [head_of(text) for text in ("", "1", "1:ab", "x:" + GENESIS)] == [None] * 4
