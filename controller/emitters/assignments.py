"""From one flag evaluation to the variant of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagMetadata

from controller.emitters.outcomes import Assignment

__all__ = ["FlagQuestion"]

logger = logging.getLogger(__name__)

_UNKNOWN: Final = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class FlagQuestion:
    """Asks a boolean flag which variant a run gets. Every error, and every answer it does not know, means control."""

    client: OpenFeatureClient
    flag_key: str
    control: str
    canary: str

    def ask(self, user_id: str, attributes: Mapping[str, str] | None = None) -> Assignment:
        """Evaluate the flag for a user. Never raises; meant for providers that answer from memory."""
        question = EvaluationContext(user_id, dict(attributes or {}))
        try:
            details = self.client.get_boolean_details(self.flag_key, False, question)
        except Exception as error:  # noqa: BLE001 -- a provider must not be able to break emission
            logger.warning("evaluating %s failed: %r", self.flag_key, error)
            return self.control_because(f"ERROR: {error!r}")
        return self._assignment(details)

    def control_because(self, reason: str) -> Assignment:
        """The control, outside every rollout."""
        return Assignment(self.flag_key, self.control, None, 0, 0, reason)

    def _assignment(self, details: FlagEvaluationDetails[bool]) -> Assignment:
        if details.error_code is not None:
            return self.control_because(f"ERROR: {details.error_code.value}")
        if details.variant in {self.control, self.canary}:
            variant = details.variant
        else:
            variant = self.canary if details.value is True else self.control
        metadata = details.flag_metadata
        rollout = metadata.get("rollout")
        return Assignment(
            self.flag_key,
            variant,
            rollout if isinstance(rollout, str) and rollout else None,
            _whole(metadata, "epoch"),
            _whole(metadata, "revision"),
            str(details.reason or _UNKNOWN),
        )


def _whole(metadata: FlagMetadata, name: str) -> int:
    value = metadata.get(name, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
