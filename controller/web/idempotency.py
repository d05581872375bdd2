"""Idempotency-Key: a POST that is sent again is done once, and answered as it was the first time.

What a request with a key does, and what is kept of its answer, are one transaction: a process that dies in between has
done neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from flask import Response, g, request

from controller.domain.errors import Invalid, KeyInUse, KeyReused
from controller.storage import idempotency
from controller.storage.idempotency import Kept
from controller.web import access

HEADER = "Idempotency-Key"

_KEY = re.compile(r"[!-~]{1,200}")


def once(act: Callable[[], Response], raw: bytes, *, keep: bool = True) -> Response:
    """Do what a request asks for, once for each key; without a key, or where nothing is changed, just do it.

    Raises:
        Invalid: a key that cannot be one. KeyReused: it came with another request before. KeyInUse: it was done, and
        its answer holds a secret that is shown once.
    """
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return act()
    if not _KEY.fullmatch(key):
        raise Invalid("an idempotency key is 1 to 200 printable ASCII characters, such as a UUID", field=HEADER)
    here, who, asked = access.services(), access.principal(), _digest(raw)
    owner, woken = f"{who.role.value}/{who.name}"[:160], [False]
    with here.database.write() as connection:
        kept = idempotency.claim(connection, owner, key, asked, here.clock())
        if kept is not None:
            return _again(kept, asked)
        within = here.database.within(connection)
        g.services = replace(here, database=within, changed=lambda: woken.__setitem__(0, True))
        try:
            response = act()
        finally:
            g.pop("services")
        if keep:
            idempotency.keep(connection, owner, key, response.status_code, response.get_data())
    if woken[0]:
        here.changed()  # only now there is something to see
    return response


def _again(kept: Kept, asked: str) -> Response:
    if kept.request != asked:
        raise KeyReused("send each request with a key of its own", field=HEADER)
    if kept.status is None:
        raise KeyInUse("this was done already; its answer held a secret that is shown once", field=HEADER)
    response = Response(kept.body, kept.status, mimetype="application/json")
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _digest(raw: bytes) -> str:
    return sha256(f"{request.method} {request.full_path}\n".encode() + raw).hexdigest()
