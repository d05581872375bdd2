"""The provider that applications test with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode
from openfeature.provider import ProviderStatus
from openfeature.track import TrackingEventDetails

from controller.client.testing import MemoryProvider
from tests.client.fake_controller import wait_until

ANNA = EvaluationContext("anna")
VARIANTS = {"off": False, "on": True}


@pytest.fixture
def flags() -> Iterator[MemoryProvider]:
    provider = MemoryProvider()
    provider.put("search", VARIANTS, control="off")
    api.set_provider_and_wait(provider)
    yield provider
    api.clear_providers()


def asked(context: EvaluationContext | None = ANNA):
    return api.get_client().get_boolean_details("search", False, context)


def test_a_test_says_what_is_served(flags):
    assert (asked().value, asked().reason) == (False, "STATIC")
    flags.serve("search", "on")
    assert asked().value is True
    flags.kill("search")
    assert (asked().value, asked().reason) == (False, "DISABLED")
    flags.remove("search")
    assert asked().error_code is ErrorCode.FLAG_NOT_FOUND


def test_a_split_is_the_real_one(flags):
    flags.split("search", "on", "50%")
    found = {asked(EvaluationContext(str(user))).value for user in range(50)}
    assert found == {True, False}
    assert asked(None).error_code is ErrorCode.TARGETING_KEY_MISSING
    assert asked().flag_metadata["rollout"] == "search-rollout"


def test_the_controllers_absence_can_be_played(flags):
    flags.split("search", "on", "100%")
    assert asked().value is True
    flags.lapse()
    assert (asked().value, asked().reason) == (False, "STALE")
    wait_until(lambda: api.get_client().get_provider_status() is ProviderStatus.STALE)
    flags.recover()
    assert asked().value is True
    wait_until(lambda: api.get_client().get_provider_status() is ProviderStatus.READY)


def test_changes_are_announced_by_name(flags):
    heard = []
    api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda details: heard.append(details.flags_changed))
    flags.put("other", VARIANTS, control="off")
    wait_until(lambda: heard == [["other"]])


def test_rules_are_written_as_everywhere(flags):
    rules = [{"when": {"attribute": "plan", "equals": "pro"}, "serve": "on"}]
    flags.put("search", VARIANTS, control="off", targeting={"deny": ["dora"], "rules": rules})
    assert asked(EvaluationContext("anna", {"plan": "pro"})).value is True
    assert asked(EvaluationContext("dora", {"plan": "pro"})).value is False


def test_exposures_and_tracked_events_can_be_asked_for(flags):
    asked()
    asked()
    assert flags.exposures == {("search", "off"): 2}
    api.get_client().track("paid", ANNA, TrackingEventDetails(9.5, {"outcome": "failed"}))
    (call,) = flags.tracked
    assert (call.event, call.targeting_key, call.value, call.attributes) == ("paid", "anna", 9.5, {"outcome": "failed"})


def test_flags_that_do_not_fit_together_are_a_mistake_of_the_test(flags):
    with pytest.raises(ValueError, match="do not fit"):
        flags.serve("search", "purple")
