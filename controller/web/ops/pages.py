"""Every page of the dashboard: importing the rooms hangs their routes on the blueprint."""

from __future__ import annotations

from controller.web.ops import acts, charts, clients, drafts, flags, front, rollouts, segments, targeting, trail
from controller.web.ops.site import blueprint

__all__ = [
    "acts",
    "blueprint",
    "charts",
    "clients",
    "drafts",
    "flags",
    "front",
    "rollouts",
    "segments",
    "targeting",
    "trail",
]
