"""OpenAPI 3.1 of the REST interface, from the operations' own signatures: what is documented is what validates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from flask import Flask
from werkzeug.routing import Rule

from controller import __version__
from controller.domain.errors import Refusal
from controller.domain.principals import Need, Role, may
from controller.web.idempotency import HEADER
from controller.web.operation import MARK, Operation
from controller.wire.codec import encode
from controller.wire.problems import CONTENT_TYPE, Problem

#: Where the interface begins; every route below is an operation.
ROOT = "/api/v1/"

_ARGUMENT = re.compile(r"<(?:(?P<kind>\w+)(?:\((?P<more>[^)]*)\))?:)?(?P<name>\w+)>")
_GENERIC = re.compile(r"\b(Page)_(\w+?)_(?=\W|$)")
_PATHS: dict[str, dict[str, Any]] = {
    "key": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
    "person": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._@+-]{0,99}$"},
    "int": {"type": "integer", "minimum": 0, "maximum": 2**53},
}
_KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Of your making, such as a UUID; the same request with the same key is done once.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
#: What a refusal of each status means; the codes are those of `Problem`.
_STATUSES = {
    400: "The request could not be understood.",
    401: "A bearer token or a signed-in session is needed.",
    403: "The role or the scope does not allow this.",
    404: "There is no such thing.",
    409: "It does not fit the present state, or somebody has changed it meanwhile: read again, then repeat.",
    413: "The body is too large.",
    415: "The body is packed in a way that is not read here.",
    421: "Reading without a token works under the names of this machine alone.",
    422: "A field is not acceptable; it is named.",
    503: "The database cannot be reached right now; repeat.",
}
_ABOUT = """Everything that the dashboard and the command line can do.

Programs send `Authorization: Bearer TOKEN`. Errors are RFC 9457 problems with a stable `code`. Lists come in pages:
`next` is the cursor of what follows. Changes name the `version` that they were read at, and 409 tells the loser to
read again. A POST with an `Idempotency-Key` is done once, however often it is sent within a day."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation at its address."""

    path: str
    method: str
    arguments: tuple[dict[str, Any], ...]
    need: Need | None
    operation: Operation


def routes_of(app: Flask) -> list[Route]:
    """Every operation of an application, by address.

    Raises:
        RuntimeError: a route of the interface is no operation, so that nothing would be known of it.
    """
    found = [route for rule in app.url_map.iter_rules() if rule.rule.startswith(ROOT) for route in _routes(app, rule)]
    return sorted(found, key=lambda route: (route.path, route.method))


def document_of(app: Flask) -> dict[str, Any]:
    """The OpenAPI document."""
    routes = routes_of(app)
    shapes = list(dict.fromkeys([Problem, *(shape for route in routes for shape in _shapes(route.operation))]))
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    refs = dict(zip(shapes, schemas, strict=True))
    _enumerate_codes(components["Problem"])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs, components)
    for query in {route.operation.query.__name__ for route in routes if route.operation.query is not None}:
        del components[query]  # its fields stand as parameters
    document = {
        "openapi": "3.1.0",
        "info": {"title": "canary-controller", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(_GENERIC.sub(r"\2\1", encode(document).decode()))
    return plain


def codes() -> dict[int, dict[str, str]]:
    """The stable codes of refusals with what they mean, by status."""
    found: dict[int, dict[str, str]] = {}
    for refusal in _refusals(Refusal):
        title = (refusal.__doc__ or "").strip().splitlines()[0]
        found.setdefault(refusal.status, {}).setdefault(refusal.code, title)
    return {status: dict(sorted(found[status].items())) for status in sorted(found)}


def _refusals(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _refusals(each)


def _enumerate_codes(problem: dict[str, Any]) -> None:
    known = sorted({code for by_code in codes().values() for code in by_code})
    problem["properties"]["code"] = {"type": "string", "enum": known}


def _routes(app: Flask, rule: Rule) -> Iterator[Route]:
    view = app.view_functions[rule.endpoint]
    operation = view.__dict__.get(MARK)
    if operation is None:
        raise RuntimeError(f"{rule.rule}: say what it takes and gives (controller.web.operation)")
    for path, arguments in _addresses(rule.rule):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(path, method, tuple(arguments), view.__dict__["need"], operation)


def _addresses(rule: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The addresses of a rule: one that takes any of several words has as many."""
    words = next((match for match in _ARGUMENT.finditer(rule) if match["kind"] == "any"), None)
    if words is not None:
        for word in words["more"].split(","):
            yield from _addresses(rule[: words.start()] + word.strip() + rule[words.end() :])
        return
    arguments = [
        {"name": match["name"], "in": "path", "required": True, "schema": _PATHS[match["kind"]]}
        for match in _ARGUMENT.finditer(rule)
    ]
    yield _ARGUMENT.sub(lambda match: f"{{{match['name']}}}", rule), arguments


def _shapes(operation: Operation) -> Iterable[Any]:
    return [shape for shape in (operation.body, operation.query, operation.shape) if shape is not None]


def _operation(route: Route, refs: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation = route.operation
    last = route.path.rpartition("/")[2]
    varied = last if operation.name == "act" else ""
    title, _, rest = operation.text.partition("\n")
    roles = ", ".join(role.value for role in Role if route.need is None or may(role, route.need))
    found: dict[str, Any] = {
        "operationId": f"{operation.name}_{varied}".rstrip("_"),
        "summary": f"{varied.capitalize()}: {title}" if varied else title,
        "description": f"{rest.strip()}\n\nFor: {roles}.".strip(),
        "tags": [route.path.removeprefix(ROOT).partition("/")[0]],
        "parameters": [*route.arguments, *_query(operation, components)],
        "responses": _responses(route, refs),
    }
    if route.method == "POST":
        found["parameters"].append(_KEY_PARAMETER)
    if operation.body is not None:
        content = {"application/json": {"schema": refs[operation.body]}}
        found["requestBody"] = {"content": content, "required": not _takes_nothing(operation.body)}
    return found


def _query(operation: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = components[operation.query.__name__]
    required = set(schema.get("required", ()))
    found = []
    for name, of_field in schema["properties"].items():
        plain = {key: value for key, value in of_field.items() if key != "description"}
        plain = _without_null(plain)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": plain}
        words = of_field.get("description")
        found.append({**parameter, "description": words} if words else parameter)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What is null in a struct is left out of a query string."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        schema = {**{key: value for key, value in schema.items() if key != "anyOf"}, **options[0]}
    return {key: value for key, value in schema.items() if key != "default" or value is not None}


def _responses(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    operation = route.operation
    found: dict[str, Any] = {}
    for status in operation.statuses:
        found[str(status)] = {"description": "Done."}
        if operation.shape is not None and operation.media != "application/json":
            found[str(status)]["content"] = {operation.media: {"schema": {"type": "string"}}}
        elif operation.shape is not None:
            found[str(status)]["content"] = {operation.media: {"schema": refs[operation.shape]}}
    for status in sorted(_problems(route)):
        content = {CONTENT_TYPE: {"schema": refs[Problem]}}
        found[str(status)] = {"description": _STATUSES[status], "content": content}
    return found


def _problems(route: Route) -> set[int]:
    """The statuses of refusals that follow from what an operation takes, and those that it names."""
    operation, found = route.operation, {400, 401, 403, 503, *route.operation.also}
    if route.need in (Need.READ, Need.EXPORT):
        found.add(421)
    if route.arguments:
        found.add(404)
    if operation.query is not None:
        found.add(422)
    if operation.body is not None:
        found |= {404, 413, 415, 422}
    if route.method == "POST":
        found.add(422)
    return found if route.method == "GET" else found | {409}


def _takes_nothing(form: Any) -> bool:
    try:
        msgspec.convert({}, form)
    except msgspec.ValidationError:
        return False
    return True
