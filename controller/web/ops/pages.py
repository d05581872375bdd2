"""Every page of the dashboard: importing the rooms hangs their routes on the blueprint."""

from __future__ import annotations

from controller.web.ops import (
    acts,
    calendar,
    charts,
    clients,
    drafts,
    flags,
    front,
    notifications,
    people,
    rollouts,
    segments,
    takeover,
    targeting,
    trail,
)
from controller.web.ops.site import blueprint

__all__ = [
    "acts",
    "blueprint",
    "calendar",
    "charts",
    "clients",
    "drafts",
    "flags",
    "front",
    "notifications",
    "people",
    "rollouts",
    "segments",
    "takeover",
    "targeting",
    "trail",
]
