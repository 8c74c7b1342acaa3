"""Requests that must not get in, or get something out: in words, as a table.

Each row is a name, the request, and the statuses that may answer it. `World` is what the requests
know of the service: a stranger has read its source, and holds tokens that allow less.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from tests.service.hostile_request import FORM, JSON, NOBODY, Row, Sent, World, bearer, cookie
from tuner.service.access.sessions import Sessions


def _said(**said: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def _signed(key: bytes, text: str, purpose: str = "session") -> str:
    return f"{text}.{hmac.new(key, f'{purpose} {text}'.encode(), hashlib.sha256).hexdigest()}"


def _tokens() -> list[Row]:
    def row(name: str, text: Callable[[World], str]) -> Row:
        return (f"token: {name}", lambda world: bearer(text(world)), NOBODY)

    def admin(world: World) -> str:
        return world.tokens["admin"]

    return [
        ("token: none at all", lambda _: Sent(), NOBODY),
        row("empty header", lambda _: ""),
        row("scheme alone", lambda _: "Bearer"),
        row("scheme and a blank", lambda _: "Bearer "),
        row("two blanks", lambda w: f"Bearer  {admin(w)}"),
        row("a tab in between", lambda w: f"Bearer\t{admin(w)}"),
        row("without the scheme", admin),
        row("scheme Basic", lambda w: f"Basic {admin(w)}"),
        row("Basic as of a browser", lambda w: "Basic " + _basic("local", admin(w))),
        row("Basic without a name", lambda w: "Basic " + _basic("", admin(w))),
        row("scheme Digest", lambda w: f'Digest username="local", response="{admin(w)}"'),
        row("scheme Token", lambda w: f"Token {admin(w)}"),
        row("scheme misspelt", lambda w: f"Bearer: {admin(w)}"),
        row("in quotation marks", lambda w: f'Bearer "{admin(w)}"'),
        row("the last character missing", lambda w: f"Bearer {admin(w)[:-1]}"),
        row("a character more", lambda w: f"Bearer {admin(w)}x"),
        row("upper case", lambda w: f"Bearer {admin(w).upper()}"),
        row("backwards", lambda w: f"Bearer {admin(w)[::-1]}"),
        row("its hash", lambda w: f"Bearer {hashlib.sha256(admin(w).encode()).hexdigest()}"),
        row("the hash of the file", lambda w: f"Bearer {w.entries['admin'].sha256}"),
        row("its name", lambda _: "Bearer admin"),
        row("the name of the own one", lambda _: "Bearer local"),
        row("two tokens", lambda w: f"Bearer {admin(w)} {admin(w)}"),
        row("a list", lambda w: f"Bearer {admin(w)}, Bearer x"),
        row("null", lambda _: "Bearer null"),
        row("undefined", lambda _: "Bearer undefined"),
        row("JSON", lambda _: 'Bearer {"role": "admin"}'),
        row("a wildcard", lambda _: "Bearer *"),
        row("SQL", lambda _: "Bearer ' OR '1'='1"),
        row("unsigned JWT", lambda _: "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ."),
        row("a path", lambda w: f"Bearer {w.folder / 'token'}"),
        row("500 characters", lambda _: "Bearer " + 500 * "x"),
        row("5,000 characters", lambda _: "Bearer " + 5000 * "x"),
        row("50,000 characters", lambda _: "Bearer " + 50_000 * "x"),
        row("umlauts", lambda _: "Bearer \xe4\xf6\xfc"),
        row("bytes that are no text", lambda _: "Bearer \xff\xfe\xfd"),
        row("expired", lambda w: f"Bearer {w.tokens['expired']}"),
        row("taken away", lambda w: f"Bearer {w.tokens['removed']}"),
        row("a session's cookie", lambda w: f"Bearer {w.sessions['admin']}"),
        row("a session's CSRF token", lambda w: f"Bearer {w.csrf['admin']}"),
    ]


def _identities() -> list[Row]:
    """A token where none is looked for, beside another, or somebody's word for who it is."""

    def admin(world: World) -> str:
        return world.tokens["admin"]

    return [
        (
            "token: said twice, wrong and right",
            lambda w: bearer("Bearer x", ("Authorization", f"Bearer {admin(w)}")),
            NOBODY,
        ),
        (
            "token: said twice, right and wrong",
            lambda w: bearer(f"Bearer {admin(w)}", ("Authorization", "Bearer x")),
            NOBODY,
        ),
        (
            "token: a wrong one beside a session",
            lambda w: bearer("Bearer x", ("Cookie", f"{w.cookie_name}={w.sessions['admin']}")),
            NOBODY,
        ),
        *(
            (f"token: in the query ({name})", _in_query(name), NOBODY)
            for name in ("token", "access_token", "code", "api_key")
        ),
        *(
            (f"token: in the header {name}", _in_header(name), NOBODY)
            for name in ("X-Api-Key", "X-Auth-Token", "Proxy-Authorization", "Token", "Cookie")
        ),
        *(
            (f"identity: header {name}", _as_somebody(name, value), NOBODY)
            for name, value in (
                ("X-Forwarded-User", "admin"),
                ("X-Remote-User", "admin"),
                ("Remote-User", "local"),
                ("X-Forwarded-For", "127.0.0.1"),
                ("X-Real-IP", "127.0.0.1"),
                ("Forwarded", "for=127.0.0.1"),
                ("X-Original-URL", "/healthz"),
                ("X-Rewrite-URL", "/login"),
                ("X-HTTP-Method-Override", "GET"),
            )
        ),
    ]


def _basic(name: str, password: str) -> str:
    return base64.b64encode(f"{name}:{password}".encode()).decode()


def _in_query(name: str) -> Callable[[World], Sent]:
    return lambda world: Sent(path=f"/api/v1/jobs?{name}={world.tokens['admin']}")


def _in_header(name: str) -> Callable[[World], Sent]:
    return lambda world: Sent(headers=((name, world.tokens["admin"]),))


def _as_somebody(name: str, value: str) -> Callable[[World], Sent]:
    return lambda _: Sent(headers=((name, value),))


def _paths() -> list[Row]:
    """Ways around the gate: what looks like a path that is open to everybody."""
    return [
        (f"path: {path}", lambda _, path=path: Sent(path=path), statuses)  # type: ignore[misc]
        for path, statuses in (
            ("/static/../api/v1/jobs", (401, 404)),
            ("/static/%2e%2e/api/v1/jobs", (401, 404)),
            ("/static/..%2fapi/v1/jobs", (401, 404)),
            ("/static/%2e%2e%2f%2e%2e%2fetc/passwd", (401, 404)),
            ("/static//etc/passwd", (401, 404)),
            ("/static/x/..%5c..%5cetc%5cpasswd", (401, 404)),
            ("/static/x/%00", (401, 404)),
            ("/login/../api/v1/jobs", (401,)),
            ("/healthz/../api/v1/jobs", (401,)),
            ("//api/v1/jobs", (401,)),
            ("/api//v1/jobs", (401,)),
            ("/api/v1/jobs/", (401,)),
            ("/API/v1/jobs", (401,)),
            ("/api/v1/jobs;/login", (401,)),
            ("/api/v1/jobs%2f..%2flogin", (401,)),
            ("/api/v1/jobs?/login", (401,)),
            ("/%61pi/v1/jobs", (401,)),
            ("/api/v1/openapi.json", (401,)),
            ("/openapi.json", (401,)),
            ("/docs", (401,)),
            ("/redoc", (401,)),
            ("/api/v1/audit", (401,)),
            ("/metrics", (401,)),
            ("/", (401,)),
        )
    ]


def _cookies() -> list[Row]:
    def row(name: str, text: Callable[[World], str]) -> Row:
        return (f"cookie: {name}", lambda world: cookie(world, text(world)), NOBODY)

    def said(world: World, name: str = "admin", **changes: Any) -> str:
        whole = {"token": world.entries[name].sha256, "number": "0" * 16, "ends": 2**40}
        return _said(**(whole | changes))

    def own(world: World) -> bytes:
        return (world.folder / "key").read_text().strip().encode()

    return [
        row("empty", lambda _: ""),
        row("a dot", lambda _: "."),
        row("garbage", lambda _: "x.y"),
        row("the token itself", lambda w: w.tokens["admin"]),
        row("the token's hash", lambda w: w.entries["admin"].sha256),
        row("unsigned", said),
        row("an empty signature", lambda w: f"{said(w)}."),
        row("signature of zeros", lambda w: f"{said(w)}.{64 * '0'}"),
        row("signature cut off", lambda w: w.sessions["admin"][:-1]),
        row("signature in upper case", lambda w: _upper_signature(w.sessions["admin"])),
        row("signature of another session", _mixed),
        row("signature is no ASCII", lambda w: f"{said(w)}.\xe4\xf6\xfc"),
        row("signed with an empty key", lambda w: _signed(b"", said(w))),
        row("signed with zeros", lambda w: _signed(64 * b"0", said(w))),
        row("signed by another service", lambda w: _signed(64 * b"a", said(w))),
        row("signed with the hash of a token", lambda w: _signed(_hash(w), said(w))),
        row("signed for another purpose", lambda w: _signed(own(w), said(w), "csrf")),
        row("begun by another service", _of_another_service),
        row("over", lambda w: _signed(own(w), said(w, ends=1))),
        row("of a token that expired", lambda w: _signed(own(w), said(w, "expired"))),
        row("of a token that was taken away", lambda w: _signed(own(w), said(w, "removed"))),
        row("of a token that never was", lambda w: _signed(own(w), said(w, token=64 * "0"))),
        row("of a session that was ended", lambda w: w.sessions["ended"]),
        row("with more behind it", lambda w: f"{w.sessions['admin']}.x"),
        row("very long", lambda _: 5000 * "x" + "." + 64 * "0"),
        row("no base64", lambda _: "%%%%." + 64 * "0"),
        row("with CR and LF in code", lambda w: w.sessions["admin"] + "%0d%0a"),
        (
            "cookie: under another name",
            lambda w: Sent(headers=(("Cookie", f"session={w.sessions['admin']}"),)),
            NOBODY,
        ),
        (
            "cookie: of another port",
            lambda w: Sent(headers=(("Cookie", f"tuner-1={w.sessions['admin']}"),)),
            NOBODY,
        ),
        (
            "cookie: with the prefix of TLS",
            lambda w: Sent(headers=(("Cookie", f"__Host-{w.cookie_name}={w.sessions['admin']}"),)),
            NOBODY,
        ),
        (
            "cookie: the right one, then a wrong one",
            lambda w: cookie(w, w.sessions["admin"], ("Cookie", f"{w.cookie_name}=wrong")),
            NOBODY,
        ),
    ]


def _hash(world: World) -> bytes:
    return world.entries["admin"].sha256.encode()


def _upper_signature(text: str) -> str:
    said, _, signature = text.partition(".")
    return f"{said}.{signature.upper()}"


def _mixed(world: World) -> str:
    said, _, _ = world.sessions["admin"].partition(".")
    _, _, signature = world.sessions["run"].partition(".")
    return f"{said}.{signature}"


def _of_another_service(world: World) -> str:
    return Sessions(64 * b"b", world.outside / "none").begun(world.entries["admin"])


def _hosts() -> list[Row]:
    def row(name: str, host: str) -> Row:
        return (f"host: {name}", lambda w: _asked_by(w, host.format(port=w.port)), (421, 400))

    return [
        row("another name", "evil.example"),
        row("another name with the port", "evil.example:{port}"),
        row("a name that begins like ours", "localhost.evil.example"),
        row("a name that ends like ours", "evil-localhost"),
        row("a subdomain of localhost", "x.localhost"),
        row("our address in a name", "127.0.0.1.nip.io"),
        row("with a user", "localhost@evil.example"),
        row("ours as the user", "evil.example@localhost"),
        row("with a path", "localhost/x"),
        row("with a query", "localhost?x"),
        row("empty", ""),
        row("a port alone", ":{port}"),
        row("a port that is none", "localhost:x"),
        row("a port that is too long", "localhost:123456"),
        row("another address", "10.0.0.1"),
        row("a public address", "93.184.216.34"),
        row("any address", "0.0.0.0"),  # noqa: S104
        row("the address as a number", "2130706433"),
        row("the address in hexadecimal", "0x7f000001"),
        row("the address in octal", "0177.0.0.1"),
        row("another address of IPv6", "[2001:db8::1]"),
        row("brackets around a name", "[localhost]"),
        row("a bracket that is open", "[::1"),
        row("two names", "localhost, evil.example"),
        row("a blank within", "local host"),
        row("umlauts", "loc\xe4lhost"),
        row("very long", 3000 * "a"),
        (
            "host: said twice",
            lambda w: Sent(
                headers=(("Host", w.host), ("Host", "evil.example"), *_admin(w)),
            ),
            (421, 400),
        ),
        (
            "host: forwarded from another name",
            lambda w: Sent(headers=(("Host", "evil.example"), ("X-Forwarded-Host", w.host))),
            (421, 400),
        ),
        (
            "host: none, as in HTTP/1.0",
            lambda w: Sent(headers=(("Host", "\0none"), *_admin(w))),
            (421, 400),
        ),
    ]


def _admin(world: World) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {world.tokens['admin']}"),)


def _asked_by(world: World, host: str) -> Sent:
    return Sent(headers=(("Host", host), *_admin(world)))


def _logins() -> list[Row]:
    def code(name: str, text: str) -> Row:
        return (f"login: {name}", lambda _: Sent(path=f"/login?code={text}"), (401, 429))

    def posted(name: str, body: bytes, *headers: tuple[str, str]) -> Row:
        return (
            f"login: {name}",
            lambda _: Sent("POST", "/login", (*FORM.items(), *headers), body),
            (400, 401, 403, 413, 429),
        )

    return [
        code("a wrong code", "x"),
        code("a code of blanks", "%20%20"),
        code("a code with NUL", "%00"),
        code("a long code", 5000 * "x"),
        code("a code of other characters", "%F0%9F%92%A9"),
        posted("nothing", b""),
        posted("an empty token", b"token="),
        posted("a wrong token", b"token=wrong"),
        posted("two tokens", b"token=a&token=b"),
        posted("a token of 100,000 characters", b"token=" + 100_000 * b"x"),
        posted("a body of 2 MB", b"token=" + 2_000_000 * b"x"),
        posted("10,000 fields", b"&".join([b"a=b"] * 10_000)),
        posted("JSON", b'{"token": "x"}', ("Content-Type", "application/json")),
        posted("a broken form", b"\xff\xfe=%zz&&&==="),
        posted("of another site", b"token=x", ("Origin", "http://evil.example")),
        posted("of no site", b"token=x", ("Origin", "null")),
        posted("of another port", b"token=x", ("Origin", "http://127.0.0.1:1")),
        posted("across sites", b"token=x", ("Sec-Fetch-Site", "cross-site")),
        posted("from a sibling", b"token=x", ("Sec-Fetch-Site", "same-site")),
    ]


def _roles() -> list[Row]:
    """Tokens that allow less than what is asked."""

    def row(name: str, role: str, method: str, path: str) -> Row:
        def sent(world: World) -> Sent:
            headers = (("Authorization", f"Bearer {world.tokens[role]}"), *JSON.items())
            return Sent(method, path, headers, b'{"options": {"budget_ms": 50}}')

        return (f"role: {role} {name}", sent, (403,))

    def as_browser(name: str, method: str, path: str, *more: tuple[str, str]) -> Row:
        def sent(world: World) -> Sent:
            headers = (("Cookie", f"{world.cookie_name}={world.sessions['admin']}"), *more)
            return Sent(method, path, headers, f"csrf_token={world.csrf['admin']}".encode())

        return (f"csrf: {name}", sent, (403,))

    return [
        as_browser("the token in the body of an upload", "PUT", "/api/v1/models/m", *FORM.items()),
        as_browser("the token in a form", "POST", "/api/v1/jobs", *FORM.items()),
        as_browser("no header to delete", "DELETE", "/api/v1/models/m", *FORM.items()),
        row("submits a job", "read", "POST", "/api/v1/jobs"),
        row("reads the audit", "read", "GET", "/api/v1/audit"),
        row("reads the audit", "run", "GET", "/api/v1/audit"),
        (
            "role: read submits a job as a browser",
            lambda w: Sent(
                "POST",
                "/api/v1/jobs",
                (
                    ("Cookie", f"{w.cookie_name}={w.sessions['read']}"),
                    ("X-CSRF-Token", w.csrf["read"]),
                    *JSON.items(),
                ),
                b'{"options": {"budget_ms": 50}}',
            ),
            (403,),
        ),
    ]


REQUESTS: tuple[Row, ...] = (
    *_tokens(), *_identities(), *_paths(), *_cookies(), *_hosts(), *_logins(), *_roles(),
)  # fmt: skip
