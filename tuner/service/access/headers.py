"""Headers that tell a browser what a page of the service may do: very little."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
ALWAYS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
KEPT_NOWHERE = {b"cache-control": b"no-store"}
_STATIC = "/static/"


class Headers:
    """Adds them to each answer that does not say them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = ALWAYS if scope["path"].startswith(_STATIC) else ALWAYS | KEPT_NOWHERE

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = list(message.get("headers", ()))
                names = {name.lower() for name, _ in said}
                said += [each for each in added.items() if each[0] not in names]
                message = {**message, "headers": said}
            await send(message)

        await self._app(scope, receive, with_headers)
