"""How much a request may bring along, before anybody has looked at what it is."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.service.access.refusal import Refusal

LARGEST = 1024 * 1024
"""Of a request in bytes; uploads of models have limits of their own."""
_UPLOADS = "/api/v1/models/"


class Bodies:
    """Refuses requests whose body is larger than that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_UPLOADS):
            await self._app(scope, receive, send)
            return
        length = next((v for n, v in scope["headers"] if n == b"content-length"), b"0")
        if not length.isdigit() or int(length[:20]) > LARGEST:
            await too_large().response()(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST:
                raise too_large()
            return message

        await self._app(scope, limited, send)


def too_large() -> Refusal:
    """A body is larger than any that is needed."""
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body of the request has more than {LARGEST} bytes",
        hint="models are sent with PUT /api/v1/models/NAME",
        headers={"Connection": "close"},
    )
