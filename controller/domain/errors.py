"""One tree of refusals. The docstring is the title people read, `code` is the promise programs rely on."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The request was refused.

    Args:
        detail: what was wrong and what would mend it, in one or two sentences.
        field: the path of the offending field, where there is one (`stages[1].share`).
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400

    def __init__(self, detail: str = "", *, field: str | None = None) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.detail = detail
        self.field = field

    @property
    def title(self) -> str:
        """The first line of the class's docstring."""
        return (type(self).__doc__ or "").strip().splitlines()[0].rstrip(".")


class Invalid(Refusal):
    """A field is not acceptable."""

    code = "invalid"
    status = 422


class Malformed(Refusal):
    """The request could not be read."""

    code = "malformed"
    status = 422


class Unauthenticated(Refusal):
    """A valid bearer token or a signed-in session is needed."""

    code = "unauthenticated"
    status = 401


class SignInRefused(Refusal):
    """Signing in did not work."""

    code = "sign_in_refused"
    status = 422


class LinkExpired(Refusal):
    """This link opens nothing any more."""

    code = "link_expired"
    status = 410


class Forbidden(Refusal):
    """This token's role does not allow that."""

    code = "forbidden"
    status = 403


class OutOfScope(Forbidden):
    """That flag is not among those that this token or person may change."""

    code = "out_of_scope"


class BadCsrfToken(Forbidden):
    """The page is too old, or the request does not come from a page of this server."""

    code = "bad_csrf_token"


class NotFound(Refusal):
    """There is no such thing."""

    code = "not_found"
    status = 404


class UnknownFlag(NotFound):
    """No flag has this key."""

    code = "unknown_flag"


class UnknownSegment(NotFound):
    """No segment has this key."""

    code = "unknown_segment"


class UnknownRollout(NotFound):
    """No rollout has this key."""

    code = "unknown_rollout"


class Conflict(Refusal):
    """The request does not fit the present state."""

    code = "conflict"
    status = 409


class ChangedMeanwhile(Conflict):
    """Somebody else changed this in the meantime: read it again, then repeat."""

    code = "changed_meanwhile"


class WrongPhase(Conflict):
    """The rollout's phase does not allow this action."""

    code = "wrong_phase"


class SecondLiveRollout(Conflict):
    """The flag already has a live rollout."""

    code = "second_live_rollout"


class OverlappingEvents(Conflict):
    """An event would be judged by two live rollouts."""

    code = "overlapping_events"


class ControlBelowFloor(Conflict):
    """The control itself delivers less than the floor."""

    code = "control_below_floor"


class CoolingDown(Conflict):
    """The rollout was rolled back a short while ago."""

    code = "cooling_down"


class Quarantined(Conflict):
    """Every live instance runs an application version that failed before."""

    code = "quarantined"


class GuardVeto(Conflict):
    """A guard speaks against this."""

    code = "guard_veto"


class Frozen(Conflict):
    """A freeze window holds this."""

    code = "frozen"


class KeyInUse(Conflict):
    """A request with this idempotency key is under way, or cannot be answered again."""

    code = "idempotency_key_in_use"


class KeyReused(Refusal):
    """This idempotency key belongs to another request."""

    code = "idempotency_key_reused"
    status = 422


class NeedsApproval(Conflict):
    """The next stage needs an approval."""

    code = "needs_approval"


class OwnApproval(Forbidden):
    """Whoever starts a rollout cannot approve its stages."""

    code = "own_approval"


class AlreadyExists(Conflict):
    """The key is taken."""

    code = "already_exists"


class StaleTerm(Conflict):
    """Another process holds the leader lease by now."""

    code = "stale_term"


class TooLarge(Refusal):
    """The request is larger than this server takes."""

    code = "too_large"
    status = 413


class TooFast(Refusal):
    """Too many requests wait already."""

    code = "too_fast"
    status = 429


class TooManyAttempts(Refusal):
    """Signing in was tried too often."""

    code = "too_many_attempts"
    status = 429
    retry_after_s: ClassVar[int] = 900


class Unavailable(Refusal):
    """The database cannot be reached or written right now."""

    code = "unavailable"
    status = 503


class SchemaBefore(Refusal):
    """The database's schema is that of the release before, which does not have this yet."""

    code = "schema_before"
    status = 409
