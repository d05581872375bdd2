"""Manifests that are fine, with what a test wants changed."""

from typing import Any

from controller.domain.plans import Plan
from controller.wire.manifests import manifest_of, plan_of

DROPPED = object()


def document(**changes: Any) -> dict[str, Any]:
    """A manifest that is fine, with these keys changed (or dropped)."""
    given = {
        "rollout": "unified-emitter",
        "flag": "unified-websocket-emitter",
        "control": "legacy",
        "canary": "unified",
        "stages": [{"share": "1%", "bake": "10m"}, {"share": "100%", "bake": "30m"}],
        **changes,
    }
    return {key: value for key, value in given.items() if value is not DROPPED}


def plan(**changes: Any) -> Plan:
    """The plan of such a manifest."""
    return plan_of(manifest_of(document(**changes)))


def stage(share: Any = "100%", bake: Any = "10m", **more: Any) -> dict[str, Any]:
    """A stage that is fine."""
    return {"share": share, "bake": bake, **more}
