"""What is secret of an address never gets into a log, an error or a page."""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote, urlsplit

#: Shorter pieces are words such as `api` or `v1`, whose removal would make errors unreadable.
_LEAST = 6
_PIECES = re.compile(r"[^/?&=:@#;,\s]+")
_MOST_ERROR = 300


def quieten() -> None:
    """Keep the libraries that send from logging addresses; what they say of failures is kept with the delivery."""
    apprise = logging.getLogger("apprise")
    if apprise.propagate:  # its records are still captured for the result of each attempt
        apprise.propagate = False
        apprise.addHandler(logging.NullHandler())
    for name, level in (("urllib3", logging.ERROR), ("httpx", logging.WARNING)):
        logging.getLogger(name).setLevel(level)


def redacted(text: str, address: str, secret: str = "") -> str:
    """An error for people, without any piece of the address but its host, on one line of bounded length."""
    host = urlsplit(address).hostname or ""
    pieces = {piece for piece in _PIECES.findall(address.partition("://")[2]) if len(piece) >= _LEAST}
    pieces |= {unquote(piece) for piece in pieces}
    for piece in sorted({secret, *pieces} - {host, ""}, key=len, reverse=True):
        text = text.replace(piece, "****")
    return " ".join(text.split())[:_MOST_ERROR]
