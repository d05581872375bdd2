from __future__ import annotations

from itertools import permutations

import pytest

from controller.emitters import OUTCOME_CLASS, DeliveryStatus
from controller.emitters.delivery import Delivery


def deliver(statuses: tuple[DeliveryStatus, ...]) -> list[DeliveryStatus]:
    settled: list[DeliveryStatus] = []

    def settle(_id: str, status: DeliveryStatus, _error: str, _at: float | None) -> bool:
        settled.append(status)
        return True

    delivery = Delivery("e1", b"{}", 0.0, 1.0, settle)
    for _ in statuses:
        delivery.taken()
    for status in statuses:
        if OUTCOME_CLASS[status] == "delivered":
            delivery.confirmed(status)
        else:
            delivery.lost(status, "")
    return settled


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ((DeliveryStatus.CONFIRMED, DeliveryStatus.TIMEOUT, DeliveryStatus.LEFT), DeliveryStatus.CONFIRMED),
        ((DeliveryStatus.TIMEOUT, DeliveryStatus.LEFT, DeliveryStatus.LEFT), DeliveryStatus.TIMEOUT),
        ((DeliveryStatus.CLOSED, DeliveryStatus.INTERRUPTED, DeliveryStatus.LEFT), DeliveryStatus.INTERRUPTED),
        ((DeliveryStatus.LEFT, DeliveryStatus.LEFT), DeliveryStatus.LEFT),
        ((DeliveryStatus.COALESCED, DeliveryStatus.NO_CONNECTION), DeliveryStatus.NO_CONNECTION),
        ((DeliveryStatus.NO_CONNECTION, DeliveryStatus.LEFT), DeliveryStatus.LEFT),
        ((DeliveryStatus.CLOSED,), DeliveryStatus.CLOSED),
    ],
)
def test_several_connections_make_one_outcome_in_whatever_order_they_report(
    reports: tuple[DeliveryStatus, ...], outcome: DeliveryStatus
) -> None:
    assert {tuple(deliver(order)) for order in permutations(reports)} == {(outcome,)}
