"""The OpenAPI document of the interface."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tuner.service.api.problems import Problem

TITLE = "tuner"
_DESCRIPTION = """
Jobs that find the configuration of a server that carries the most traffic within a budget.

Requests carry `Authorization: Bearer TOKEN`. Errors are problem details (RFC 9457) with the text
and the hint of the command line. Answers to GET may be a second old, but are never older than the
last change that was made through this interface.
"""
_TAGS = [
    {"name": "jobs", "description": "What is run, one after the other."},
    {"name": "events", "description": "What happens, as it happens."},
    {"name": "studies", "description": "What was found, and what follows from it."},
    {"name": "spaces", "description": "What may vary on a server."},
    {"name": "models", "description": "What was sent to be tuned."},
    {"name": "machine", "description": "Whether it is fit for measuring, and what it has."},
    {"name": "audit", "description": "Who changed what."},
    {"name": "health", "description": "For supervisors and monitoring."},
]


def describe(app: FastAPI) -> None:
    """Have `app` describe itself so."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                description=_DESCRIPTION,
                routes=app.routes,
                tags=_TAGS,
            )
            schemas = app.openapi_schema.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
