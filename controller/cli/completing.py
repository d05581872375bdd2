"""Keys that a shell offers while a command is typed; silent where no controller answers at once."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec

from controller.settings import BadSettingError, client_settings

#: Whoever presses Tab does not wait for longer.
_PATIENCE_S = 1.5


def keys_of(path: str, field: str = "key") -> Callable[[str], list[str]]:
    """What completes an argument: the keys in a list of the interface that begin with what is typed."""

    def complete(incomplete: str) -> list[str]:
        try:
            url, token = client_settings()
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = httpx.get(f"{url}/api/v1/{path}", headers=headers, timeout=_PATIENCE_S)
            items = msgspec.json.decode(answer.content)["items"]
            return [key for key in (str(item[field]) for item in items) if key.startswith(incomplete)]
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, BadSettingError, KeyError, TypeError):
            return []

    return complete
