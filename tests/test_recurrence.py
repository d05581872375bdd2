"""Recurrences in a time zone, over the changes of its clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from controller import recurrence
from controller.recurrence import BadRecurrenceError

BERLIN = ZoneInfo("Europe/Berlin")


def ms(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=BERLIN).timestamp() * 1000)  # type: ignore[arg-type]


def test_a_friday_afternoon_stays_one_over_the_change_of_the_clock() -> None:
    assert recurrence.next_after("0 16 * * FRI", "Europe/Berlin", ms(2026, 10, 23, 16)) == ms(2026, 10, 30, 16)
    assert recurrence.last_until("0 16 * * FRI", "Europe/Berlin", ms(2026, 10, 30, 15, 59)) == ms(2026, 10, 23, 16)


def test_a_time_itself_counts_as_come_and_not_as_next() -> None:
    friday = ms(2026, 11, 27, 16)
    assert recurrence.last_until("0 16 * * FRI", "Europe/Berlin", friday) == friday
    assert recurrence.last_until("0 16 * * FRI", "Europe/Berlin", friday + 59_999) == friday
    assert recurrence.next_after("0 16 * * FRI", "Europe/Berlin", friday) == ms(2026, 12, 4, 16)


def test_a_time_that_is_skipped_in_spring_comes_once_the_clock_is_put_forward() -> None:
    assert recurrence.next_after("30 2 * * *", "Europe/Berlin", ms(2026, 3, 28, 12)) == ms(2026, 3, 29, 3)


def test_a_time_that_comes_twice_in_autumn_counts_once() -> None:
    first = recurrence.next_after("30 2 * * *", "Europe/Berlin", ms(2026, 10, 24, 12))
    assert first is not None
    assert recurrence.next_after("30 2 * * *", "Europe/Berlin", first) == ms(2026, 10, 26, 2, 30)


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("0 16 * *", "UTC", "cron"),
        ("0 16 * * FRI *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("x" * 200, "UTC", "cron"),
        ("0 0 * * *", "Mars/Base", "zone"),
        ("0 0 * * *", "../../etc/passwd", "zone"),
        ("0 0 * * *", "", "zone"),
    ],
)
def test_what_never_comes_is_refused_by_field(cron: str, zone: str, field: str) -> None:
    with pytest.raises(BadRecurrenceError) as refused:
        recurrence.check(cron, zone, ms(2026, 1, 1))
    assert refused.value.field == field
