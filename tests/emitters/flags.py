"""A flag provider whose answer a test can change, with OpenFeature's events."""

from __future__ import annotations

from collections.abc import Callable

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider, Metadata

FLAG = "unified-websocket-emitter"


class FlagProvider(AbstractProvider):
    """Answers one boolean flag and remembers who was asked about."""

    def __init__(self, *, canary: bool) -> None:
        super().__init__()
        self.canary = canary
        self.variant: str | None = None
        self.metadata: dict[str, bool | int | float | str] = {"rollout": "unified-emitter", "epoch": 3, "revision": 41}
        self.error: Exception | None = None
        self.reporter: object = None
        self.asked: list[EvaluationContext | None] = []

    def get_metadata(self) -> Metadata:
        return Metadata("tests")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: ARG002 -- the client passes it by name
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        self.asked.append(evaluation_context)
        if self.error is not None:
            raise self.error
        if flag_key != FLAG:
            raise OpenFeatureError(ErrorCode.FLAG_NOT_FOUND, flag_key)
        return FlagResolutionDetails(
            self.canary, reason=Reason.SPLIT, variant=self.variant, flag_metadata=self.metadata
        )

    def resolve_string_details(self, *_: object) -> FlagResolutionDetails[str]:
        raise OpenFeatureError(ErrorCode.TYPE_MISMATCH)

    resolve_integer_details = resolve_string_details  # type: ignore[assignment]
    resolve_float_details = resolve_string_details  # type: ignore[assignment]
    resolve_object_details = resolve_string_details  # type: ignore[assignment]

    def change(self, *, canary: bool, flags: list[str] | None = None) -> None:
        """Answer differently from now on, and tell the subscribers."""
        self.canary = canary
        self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=flags or [FLAG]))


ClientFor = Callable[[AbstractProvider, str], OpenFeatureClient]


def client_of(provider: AbstractProvider, domain: str) -> OpenFeatureClient:
    """A client of this provider alone."""
    api.set_provider_and_wait(provider, domain)
    return api.get_client(domain)
