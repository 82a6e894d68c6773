"""The API's own description: ``/openapi.json``, and a page to browse and try it, ``/docs``."""

import json
from importlib.resources import files
from typing import Any, cast

from flask import Blueprint, Response, abort, current_app
from flask_openapi3.openapi import OpenAPI

from grab_service.api.schemas.common import Problem

SWAGGER = "flask_openapi3_swagger"
PARTS = {  # files of Swagger UI in its package
    "swagger-ui.css": ("css", "text/css"),
    "swagger-ui-bundle.js": ("js", "text/javascript"),
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stageline · the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
START = """window.ui = SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });\n"""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src data:; base-uri 'none'; frame-ancestors 'none'"
)  # Swagger UI sets styles inline, and its icons are data
routes = Blueprint("documents", __name__)


@routes.get("/openapi.json")
def openapi() -> Response:
    """Describe the API, as OpenAPI 3.1 has it."""
    app = cast("OpenAPI", current_app)
    return Response(json.dumps(describe(app)) + "\n", mimetype="application/json")


@routes.get("/docs")
def docs() -> Response:
    """Show the description as a page."""
    return _guarded(PAGE, "text/html")


@routes.get("/docs/<name>")
def part(name: str) -> Response:
    """Serve a part of that page."""
    if name == "start.js":
        return _guarded(START, "text/javascript")
    if name not in PARTS:
        abort(404, "/docs has no such part")
    folder, kind = PARTS[name]
    answer = _guarded(files(SWAGGER).joinpath("templates", "swagger", folder, name).read_bytes(), kind)
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def describe(app: OpenAPI) -> dict[str, Any]:
    """Return the OpenAPI description as plain data."""
    found: dict[str, Any] = app.spec_json
    return found or _described(app)


def _described(app: OpenAPI) -> dict[str, Any]:
    """Return the description of flask-openapi3 without what does not hold here."""
    found: dict[str, Any] = app.api_doc
    found["components"].pop("securitySchemes", None)  # null where there are none, which OpenAPI does not allow
    components = found["components"]["schemas"]
    components.pop("ValidationErrorModel", None)  # its own format of errors
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components |= problem.pop("$defs", {})
    components["Problem"] = problem
    for schema in components.values():
        schema.pop("$defs", None)
    for path in found["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional parameter without null, which a URL cannot hold."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**kept, **kinds[0]}


def _guarded(content: str | bytes, kind: str) -> Response:
    answer = Response(content, mimetype=kind)
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
