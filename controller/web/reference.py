"""/openapi.json, and /docs: the same document as a page that needs no script and nothing from another host."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Response, current_app, render_template

from controller import __version__
from controller.storage import snapshots
from controller.web.access import open_to_all, services
from controller.web.http import answer
from controller.web.openapi import codes, document_of

blueprint = Blueprint("reference", __name__, template_folder="templates")

_DOCUMENT = "controller.openapi"


@blueprint.get("/openapi.json")
@open_to_all
def show_document() -> Response:
    """The interface in OpenAPI 3.1."""
    return answer(_document())


@blueprint.get("/docs")
@open_to_all
def show_reference() -> str:
    """The interface for people."""
    here = services()
    with here.database.read() as connection:
        environment = snapshots.environment(connection)
    return render_template(
        "reference/reference.html",
        environment=environment,
        version=__version__,
        document=_document(),
        groups=_groups(_document()),
        codes=codes(),
    )


@blueprint.app_template_filter("schema_words")
def schema_words(schema: dict[str, Any]) -> str:
    """A schema in a few words: `string`, `FlagView`, `list of string`, `integer or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(schema_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(repr(value) if isinstance(value, str) else str(value) for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {schema_words(schema.get('items') or {})}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {schema_words(schema['additionalProperties'])}"
    return str(kind)


def _document() -> dict[str, Any]:
    """Made once for each application: the routes do not change any more."""
    found = current_app.extensions.get(_DOCUMENT)
    if found is None:
        found = current_app.extensions[_DOCUMENT] = document_of(current_app)
    return cast("dict[str, Any]", found)


def _groups(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """Operations by what they are about."""
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return dict(sorted(found.items()))
