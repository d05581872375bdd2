"""The Flask application: every route of the controller except the streams, which are served beside it."""

from __future__ import annotations

from flask import Flask
from jinja2 import StrictUndefined
from werkzeug.routing import BaseConverter

from controller.web import access, flagd, health, http, ofrep, reference, sdk, sessions, sign_in
from controller.web.api import (
    approvals,
    audit,
    decisions,
    erasure,
    flags,
    freezes,
    handover,
    instances,
    notifications,
    retention,
    rollouts,
    schedules,
    segments,
    tokens,
    users,
)
from controller.web.ops import pages
from controller.web.services import Services
from controller.wire.reports import MOST_BYTES

_BLUEPRINTS = (
    flags.blueprint,
    segments.blueprint,
    rollouts.blueprint,
    decisions.blueprint,
    approvals.blueprint,
    instances.blueprint,
    audit.blueprint,
    tokens.blueprint,
    erasure.blueprint,
    notifications.blueprint,
    retention.blueprint,
    users.blueprint,
    freezes.blueprint,
    schedules.blueprint,
    handover.blueprint,
    reference.blueprint,
    sdk.blueprint,
    ofrep.blueprint,
    flagd.blueprint,
    health.blueprint,
    sign_in.blueprint,
    pages.blueprint,
)


class KeyConverter(BaseConverter):
    """A key in a path; what cannot be one is not found."""

    regex = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"


class PersonConverter(BaseConverter):
    """The name of somebody who signs in."""

    regex = "[a-z0-9][a-z0-9._@+-]{0,99}"


def create_app(services: Services, *, health_alone: bool = False) -> Flask:
    """Put the application together; `health_alone` is for a process that serves nobody.

    Raises:
        RuntimeError: a route says neither what it needs nor that it is open to all.
    """
    app = Flask("controller.web", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MOST_BYTES, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.converters["key"] = KeyConverter
    app.url_map.converters["person"] = PersonConverter
    app.url_map.merge_slashes = False
    app.jinja_env.undefined = StrictUndefined
    http.install(app)
    access.join(app, services)
    if not health_alone:
        sessions.install(app)
        sign_in.install(app, services)
    for blueprint in (health.blueprint,) if health_alone else _BLUEPRINTS:
        app.register_blueprint(blueprint)
    access.check_routes(app)
    return app
