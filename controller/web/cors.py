"""Pages of other origins that evaluate flags. No cookie and no password of the browser is ever taken here."""

from __future__ import annotations

from collections.abc import Collection

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, if-none-match, x-api-key",
    "Access-Control-Max-Age": "7200",
}
_EXPOSED = {"Access-Control-Expose-Headers": "ETag, Retry-After"}


def cors_headers(origin: str | None, allowed: Collection[str], *, preflight: bool = False) -> dict[str, str]:
    """What an answer to a page of this origin says; nothing to an origin that is not allowed, or to no page."""
    if origin is None or not ("*" in allowed or origin in allowed):
        return {}
    said = {"Access-Control-Allow-Origin": "*"} if "*" in allowed else _of_one(origin)
    return {**said, **(_PREFLIGHT if preflight else _EXPOSED)}


def _of_one(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
