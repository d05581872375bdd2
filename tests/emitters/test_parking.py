from __future__ import annotations

from controller.emitters import DeliveryStatus, Ending
from controller.emitters.delivery import Delivery
from controller.emitters.limits import Limits
from controller.emitters.parking import Parking

LEFT = Ending(DeliveryStatus.LEFT, "the user left")


class Scene:
    """A parking with settled events by their statuses."""

    def __init__(self, **limits: float) -> None:
        self.parking = Parking(Limits(**limits))  # type: ignore[arg-type]
        self.settled: dict[str, DeliveryStatus] = {}

    def event(self, name: str, emitted_at: float = 100.0, deadline: float = 105.0) -> Delivery:
        def settle(event_id: str, status: DeliveryStatus, _error: str, _at: float | None) -> bool:
            self.settled[event_id] = status
            return True

        delivery = Delivery(name, b"{}", emitted_at, deadline, settle)
        delivery.taken()
        return delivery


def test_a_loss_is_settled_before_the_deadline_so_that_no_listener_takes_it_for_silence() -> None:
    # Looks are a quarter of a second apart, and listeners may have a deadline of the same five seconds.
    scene = Scene(reconnect_grace=60.0)
    scene.parking.park("alice", "c1", LEFT, [scene.event("e1")], 101.0, named=False)
    scene.parking.sweep(104.4)
    assert scene.settled == {}
    scene.parking.sweep(104.5)
    assert scene.settled == {"e1": DeliveryStatus.LEFT}
    scene.parking.park("alice", "c2", LEFT, [scene.event("e2")], 104.6, named=False)
    assert scene.settled["e2"] is DeliveryStatus.LEFT  # too late to wait for anything


def test_a_loss_is_settled_after_the_grace_where_that_comes_first() -> None:
    scene = Scene(reconnect_grace=2.0)
    scene.parking.park("alice", "c1", LEFT, [scene.event("e1")], 101.0, named=False)
    scene.parking.sweep(102.9)
    assert scene.settled == {}
    scene.parking.sweep(103.0)
    assert scene.settled == {"e1": DeliveryStatus.LEFT}
    assert len(scene.parking) == 1  # kept for the user's sake


def test_a_user_who_comes_and_goes_under_ever_new_names_takes_no_more_than_others() -> None:
    scene = Scene(max_connections_per_user=3, max_queue=4, max_inflight=2)
    scene.parking.park("bob", "b", LEFT, [scene.event("bobs")], 101.0, named=True)
    for number in range(20):
        scene.parking.park("mallory", f"name-{number}", LEFT, [scene.event(f"e{number}")], 101.0, named=True)
    assert len(scene.parking) == 1 + 3
    for number in range(20):
        scene.parking.add("mallory", scene.event(f"away-{number}"), 101.0, connected=False)
    assert len(scene.parking) == 1 + 6
    assert "bobs" not in scene.settled
    assert [delivery.event_id for delivery in scene.parking.take("bob", "b", 101.0, 110.0)] == ["bobs"]


def test_places_are_forgotten_when_their_window_has_passed_and_events_when_theirs_has() -> None:
    scene = Scene(replay_window=10.0)
    scene.parking.park("alice", "c1", LEFT, [scene.event("old", emitted_at=90.0)], 101.0, named=False)
    assert (len(scene.parking), scene.settled) == (0, {"old": DeliveryStatus.LEFT})
    assert scene.parking.awaits("alice")
    scene.parking.add("alice", scene.event("new", emitted_at=105.0, deadline=110.0), 105.0, connected=False)
    scene.parking.sweep(110.9)
    assert len(scene.parking) == 1
    scene.parking.sweep(111.0)
    assert (len(scene.parking), scene.parking.awaits("alice")) == (0, False)
