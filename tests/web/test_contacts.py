"""The book of contacts: written in groups, known before served, and never in the way."""

import threading
from collections.abc import Callable, Iterator

import pytest

from controller.domain.errors import Invalid, Unavailable
from controller.domain.instances import Contact
from controller.web.contacts import ContactBook, contact_of
from tests.clocks import FakeClock

NOW_MS = 1_700_000_000_000


def contact(name: str = "edge-1", at_ms: int = NOW_MS, revision: int = 3, *, reports: bool = False) -> Contact:
    return Contact(name, reports, revision, at_ms)


class Shelf:
    """Where contacts are written, as slowly as a test wants."""

    def __init__(self) -> None:
        self.groups: list[list[Contact]] = []
        self.open = threading.Event()
        self.open.set()
        self.fails: Exception | None = None

    def write(self, found: list[Contact]) -> None:
        self.open.wait(20)
        if self.fails is not None:
            raise self.fails
        self.groups.append(found)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def book_of(shelf: Shelf, clock: FakeClock) -> Iterator[Callable[..., ContactBook]]:
    made: list[ContactBook] = []

    def make(streaming: Callable[[int], list[tuple[str, int]]] = lambda _part: []) -> ContactBook:
        made.append(ContactBook(shelf.write, clock, streaming))
        made[-1].start()
        return made[-1]

    yield make
    shelf.open.set()
    for book in made:
        book.stop()


def test_whoever_is_new_is_known_before_it_is_served(book_of: Callable[..., ContactBook], shelf: Shelf) -> None:
    shelf.open.clear()
    done = book_of().note(contact())
    assert done is not None
    assert not done.done()
    shelf.open.set()
    done.result(20)
    assert shelf.groups == [[contact()]]


def test_whoever_is_known_is_not_kept_waiting(book_of: Callable[..., ContactBook], shelf: Shelf) -> None:
    book = book_of()
    book.noted(contact())
    shelf.open.clear()
    assert book.note(contact(at_ms=NOW_MS + 5_000)) is None


def test_all_who_come_at_once_share_one_transaction(book_of: Callable[..., ContactBook], shelf: Shelf) -> None:
    book = book_of()
    shelf.open.clear()
    first = book.note(contact("first"))
    rest = [book.note(contact(f"edge-{number}")) for number in range(1_000)]
    shelf.open.set()
    for done in (first, *rest):
        assert done is not None
        done.result(20)
    assert len(shelf.groups) <= 3
    assert sum(map(len, shelf.groups)) == 1_001


def test_contacts_in_quick_succession_are_not_all_written(book_of: Callable[..., ContactBook], shelf: Shelf) -> None:
    book = book_of()
    book.noted(contact())
    book.noted(contact(at_ms=NOW_MS + 1_999))
    book.noted(contact("other"))
    assert [c.instance for group in shelf.groups for c in group] == ["edge-1", "other"]


@pytest.mark.parametrize("second", [contact(at_ms=NOW_MS + 1, revision=4), contact(at_ms=NOW_MS + 1, reports=True)])
def test_a_newer_revision_or_a_first_report_is_written_at_once(
    book_of: Callable[..., ContactBook], shelf: Shelf, second: Contact
) -> None:
    book = book_of()
    book.noted(contact())
    book.note(second)
    book.stop()
    assert shelf.groups[-1] == [second]


@pytest.mark.parametrize("trouble", [Unavailable("away"), ValueError("odd")])
def test_a_database_in_trouble_costs_the_note_and_nothing_else(
    book_of: Callable[..., ContactBook], shelf: Shelf, trouble: Exception
) -> None:
    book = book_of()
    shelf.fails = trouble
    done = book.note(contact())
    assert done is not None
    done.result(20)
    shelf.fails = None
    book.noted(contact())  # it is still new
    assert shelf.groups == [[contact()]]


def test_those_that_hold_a_stream_without_reporting_are_written_down_as_still_there(
    book_of: Callable[..., ContactBook], shelf: Shelf, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.web.contacts._STREAMS_EVERY_S", 0.01)
    book = book_of(lambda part: [("edge-1", 9), ("nobody", 9), ("chat-1", 9)] if part == 3 else [])
    book.noted(contact())
    book.noted(contact("chat-1", reports=True))
    seen = threading.Event()
    write = shelf.write

    def watch(found: list[Contact]) -> None:
        write(found)
        seen.set()

    book._write = watch
    assert seen.wait(20)
    assert shelf.groups[-1] == [Contact("edge-1", False, 9, clock())]


def test_a_book_that_was_not_opened_writes_each_by_itself(shelf: Shelf, clock: FakeClock) -> None:
    book = ContactBook(shelf.write, clock)
    book.noted(contact())
    assert shelf.groups == [[contact()]]
    book.stop()


def test_what_a_request_says_of_its_sender() -> None:
    said = {"canary-instance": "edge-1", "canary-reports": "0", "canary-sdk": "py\x00 1", "canary-clock": "500"}
    assert contact_of(said, 3, 700) == Contact("edge-1", False, 3, 700, "py 1", -200)


@pytest.mark.parametrize("clock", ["", "-5", "1e9", "9" * 17, "\u0665", "now"])
def test_a_clock_that_cannot_be_read_is_none(clock: str) -> None:
    found = contact_of({"canary-instance": "e", "canary-reports": "1", "canary-clock": clock}, 3, NOW_MS)
    assert found is not None
    assert found.clock_offset_ms is None


def test_a_clock_of_another_century_is_told_as_far_off() -> None:
    found = contact_of({"canary-instance": "e", "canary-reports": "1", "canary-clock": "9" * 16}, 3, NOW_MS)
    assert found is not None
    assert found.clock_offset_ms == 10 * 365 * 86_400_000


def test_without_a_name_there_is_no_contact_and_a_long_one_is_refused() -> None:
    assert contact_of({"canary-reports": "1"}, 3, NOW_MS) is None
    assert contact_of({"canary-instance": "e", "canary-reports": "yes"}, 3, NOW_MS) is None
    with pytest.raises(Invalid, match="at most 128"):
        contact_of({"canary-instance": "x" * 129, "canary-reports": "1"}, 3, NOW_MS)
