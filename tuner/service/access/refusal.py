"""Requests that are not let in, answered as problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Refusal(HTTPException):
    """Why a request is not let in, and what to do."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.status, self.hint = status, hint

    def response(self) -> JSONResponse:
        """What it is answered with."""
        problem = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "hint": self.hint,
        }
        return JSONResponse(
            problem, self.status, self.headers, media_type="application/problem+json"
        )
