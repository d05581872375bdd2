"""What the demo can be told, and which end each fault calls for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FLAG = "unified-websocket-emitter"
ROLLOUT = "unified-emitter"
CONTROL = "legacy"
CANARY = "unified"


class Fault(StrEnum):
    """What goes wrong with the unified emitter (or around it) on the way up."""

    DROP = "drop"
    ERROR = "error"
    ONE_TYPE = "one-type"
    DEPLOY = "deploy"
    ABANDON = "abandon"
    NONE = "none"

    @property
    def in_the_emitter(self) -> bool:
        """Whether the canary is really bad."""
        return self in (Fault.DROP, Fault.ERROR, Fault.ONE_TYPE)

    @property
    def end(self) -> str:
        """The phase that the story must end in."""
        return "rolled_back" if self.in_the_emitter else "promoted"

    @property
    def words(self) -> str:
        """What is done, for people."""
        return {
            Fault.DROP: "the unified emitter silently sends nothing from now on",
            Fault.ERROR: "the unified emitter raises an error from now on",
            Fault.ONE_TYPE: "the unified emitter silently drops tool_completed from now on",
            Fault.DEPLOY: "one back end is stopped and a new version started",
            Fault.ABANDON: "a third of the users leave in the middle of a run from now on",
            Fault.NONE: "nothing goes wrong",
        }[self]


@dataclass(frozen=True, slots=True)
class Options:
    """What `canary demo` was told.

    Attributes:
        users: simulated users at a time.
        seed: of everything random in the simulation; who sees the canary follows from it.
        keep: leave the dashboard and the controller running at the end.
        port: the controller's port; 0 takes a free one.
        plain: no live view, one line per event (also where the output is not a terminal).
    """

    fault: Fault = Fault.DROP
    users: int = 300
    seed: int = 7
    keep: bool = False
    port: int = 0
    plain: bool = False

    def manifest(self) -> dict[str, object]:
        """The demo's rollout. Its bake times and its promotion margin are its own; the judge is the shipped one."""
        return {
            "rollout": ROLLOUT,
            "flag": FLAG,
            "control": CONTROL,
            "canary": CANARY,
            "stages": [
                {"share": "10%", "bake": "5s"},
                {"share": "50%", "bake": "12s"},
                {"share": "100%", "bake": "5s"},
            ],
            "promotion_margin": "5%",
            "owner": "the demo",
            "note": "bake times of seconds and a margin of 5 points are for this demonstration alone",
        }
