"""What pages ask of the access room, as long as an application has none: nobody is signed in by a session.

Globals that the access room has installed already are left as they are.
"""

from __future__ import annotations

from typing import cast

from flask import Flask, g
from markupsafe import Markup

from controller.domain.principals import Principal


def install(app: Flask) -> None:
    """Give templates `csrf_token()`, `csrf_field()` and `principal()`."""
    for name, stand_in in (("csrf_token", str), ("csrf_field", Markup), ("principal", _principal)):
        app.jinja_env.globals.setdefault(name, stand_in)


def _principal() -> Principal | None:
    return cast("Principal | None", g.get("principal"))
