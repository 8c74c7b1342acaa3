"""Who gets in: tokens, sessions of browsers, and what pages of other sites cannot do."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.runner_tests.waiting import wait_until
from tests.service.running import PLAIN, running
from tuner.errors import HIDDEN
from tuner.service.access import gate, tokens
from tuner.service.access.access import Access
from tuner.service.access.attempts import LIMIT, LIMIT_OF_ALL, WINDOW_S, Attempts
from tuner.service.access.codes import LENGTH_S, Codes
from tuner.service.access.headers import POLICY
from tuner.service.access.login import local
from tuner.service.access.principal import Principal, Role
from tuner.service.access.sessions import Sessions
from tuner.service.api import watching
from tuner.service.api.audited import audited
from tuner.service.service import Service
from tuner.service.settings import Settings
from tuner.store.audit import audit_entries
from tuner.store.storage import Storage

# What is sent to these changes nothing of the service.
HARMLESS = ("/logout", "/api/v1/spaces/check")


@dataclass(frozen=True)
class Served:
    """A service that listens, and a token of each role."""

    app: FastAPI
    tokens: dict[Role, str]

    @property
    def access(self) -> Access:
        found: Access = self.app.state.access
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.access.settings.port}"

    def client(self, role: Role | None = None, **headers: str) -> httpx.Client:
        """With the token of a role, or as a stranger."""
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return httpx.Client(base_url=self.url, headers=headers, verify=PLAIN)

    def browser(self, role: Role) -> httpx.Client:
        """That has logged in by the form."""
        with self.client() as entering:
            entered = entering.post("/login", data={"token": self.tokens[role]})
        assert entered.status_code == 303
        return httpx.Client(
            base_url=self.url,
            headers={"Accept": "text/html"},
            cookies=entering.cookies,
            verify=PLAIN,
        )

    def csrf_token(self, browser: httpx.Client) -> str:
        """What forms of its pages have."""
        session = self.access.sessions.read(browser.cookies[self.access.cookie])
        assert session is not None
        return session.csrf_token


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("access")
    made = {role: tokens.add(folder / "tokens", str(role), role) for role in Role}
    settings = Settings(
        database=str(folder / "studies.db"),
        folder=folder / "service",
        token_file=folder / "tokens",
        allowed_hosts=("tuner.example",),
    )
    with Storage(settings.database, create=True) as storage, running(settings, storage) as app:
        yield Served(app, made)


@pytest.fixture(autouse=True)
def no_failures(served: Served) -> None:
    """Each test begins as if nobody had failed yet."""
    served.access.requests._failures.clear()
    served.access.logins._failures.clear()


def _routes(served: Served) -> list[tuple[str, str]]:
    """Method and path of each route, with a number where it takes something."""
    return [
        (method, re.sub(r"{[^}]*}", "1", route.path or ""))
        for route in iter_route_contexts(served.app.routes)
        for method in sorted(route.methods or ())
    ]


def _asked(served: Served) -> list[tuple[str, str]]:
    return [each for each in _routes(served) if not gate.is_open(each[1])]


def test_each_route_is_closed_to_strangers(served: Served) -> None:
    """But for the page to log in at, and whether the service is well."""
    assert len(_asked(served)) >= 4
    with served.client() as stranger:
        for method, path in _asked(served):
            answer = stranger.request(method, path, json={})
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"


def test_who_may_only_read_changes_nothing(served: Served) -> None:
    """Whatever changes something needs the role `run`."""
    with served.client(Role.READ) as reader:
        for method, path in _asked(served):
            if method not in ("GET", "HEAD") and path not in HARMLESS:
                answer = reader.request(method, path, json={"options": {"budget_ms": 50}})
                assert answer.status_code == 403, path
                assert "this needs the role `" in answer.json()["detail"]


def test_what_a_page_of_another_site_sends_is_refused(served: Served) -> None:
    """At each route that changes something, in each way that such a page could try."""
    with served.browser(Role.ADMIN) as browser, served.browser(Role.ADMIN) as other:
        token, others = served.csrf_token(browser), served.csrf_token(other)
        foreign = {"X-CSRF-Token": token}
        for method, path in _asked(served):
            if method in ("GET", "HEAD"):
                continue
            for headers in (
                {},
                {"X-CSRF-Token": ""},
                {"X-CSRF-Token": "wrong"},
                {"X-CSRF-Token": others},
                {"X-CSRF-Token": token[:-1]},
                {**foreign, "Origin": "http://evil.example"},
                {**foreign, "Origin": "null"},
                {**foreign, "Origin": "http://127.0.0.1:1"},
                {**foreign, "Origin": "http://127.0.0.1"},
                {**foreign, "Sec-Fetch-Site": "cross-site"},
                {**foreign, "Sec-Fetch-Site": "same-site"},
            ):
                answer = browser.request(method, path, json={}, headers=headers)
                assert answer.status_code == 403, (path, headers)
            for form in ({}, {"csrf_token": ""}, {"csrf_token": others}):
                assert browser.request(method, path, data=form).status_code in (403, 422)
        assert browser.get("/api/v1/jobs").json()["total"] == 0


def test_a_form_of_the_own_page_is_taken(served: Served) -> None:
    """With its token as a field, from where the page was shown."""
    same = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
    with served.browser(Role.READ) as browser:
        form = {"csrf_token": served.csrf_token(browser)}
        assert browser.post("/logout", data=form, headers=same).status_code == 303


def test_a_script_of_the_own_page_is_taken(served: Served) -> None:
    """With the token as a header."""
    with served.browser(Role.READ) as browser:
        headers = {"X-CSRF-Token": served.csrf_token(browser)}
        assert browser.post("/logout", headers=headers).status_code == 303


def test_a_token_needs_no_form(served: Served) -> None:
    """Another site cannot make a browser send it."""
    with served.client(Role.RUN) as client:
        answer = client.post(
            "/api/v1/jobs",
            json={"options": {"budget_ms": 0}},
            headers={"Origin": "http://evil.example"},
        )
        assert answer.status_code == 422


def test_a_person_is_led_to_the_page_for_it(served: Served) -> None:
    """And back to where it was; a program is told the status."""
    with served.client(accept="text/html") as stranger:
        led = stranger.get("/studies?state=ended&name=a b")
        assert led.status_code == 303
        assert led.headers["location"] == "/login?next=/studies%3Fstate%3Dended%26name%3Da%2520b"
        page = stranger.get(led.headers["location"])
        assert 'name="next" value="/studies?state=ended&amp;name=a%20b"' in page.text
        assert stranger.get("/api/v1/jobs").status_code == 401
        assert stranger.post("/studies").status_code == 401


def test_a_person_whose_role_is_not_enough_sees_why(served: Served) -> None:
    """As a page; a program gets the problem."""
    with served.browser(Role.READ) as browser:
        token = {"csrf_token": served.csrf_token(browser)}
        page = browser.post("/jobs/1/pause", data=token)
        assert page.status_code == 403
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "this needs the role" in page.text
        told = browser.get("/api/v1/audit").json()
        assert told["detail"] == "this needs the role `admin`; the token `read` has `read`"
        assert told["hint"] == "tuner tokens add NAME --role admin --token-file FILE"


def test_a_session_begins_with_a_token(served: Served) -> None:
    """Its cookie is for this site alone, and no script reads it."""
    with served.client() as browser:
        entered = browser.post(
            "/login", data={"token": f" {served.tokens[Role.READ]}\n", "next": "/studies"}
        )
        assert (entered.status_code, entered.headers["location"]) == (303, "/studies")
        said = entered.headers["set-cookie"]
        assert "; HttpOnly; Max-Age=43200; Path=/; SameSite=lax" in said
        assert served.tokens[Role.READ] not in said
        assert browser.get("/api/v1/jobs").status_code == 200
        assert browser.get("/api/v1/audit").status_code == 403


def test_a_wrong_token_begins_none(served: Served) -> None:
    """The page says so, and shows nothing of what was said."""
    with served.client() as browser:
        failed = browser.post("/login", data={"token": "<wrong>", "next": '"><script>'})
        assert failed.status_code == 401
        assert '<p role="alert">This is no token of the service.</p>' in failed.text
        assert "wrong" not in failed.text
        assert "<script>" not in failed.text
        assert "set-cookie" not in failed.headers


def test_the_link_of_the_service_is_good_once(served: Served) -> None:
    """It logs in who started it."""
    code = served.access.codes.new()
    with served.client() as browser, served.client() as other:
        entered = browser.get(f"/login?code={code}")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert browser.get("/api/v1/audit").status_code == 200
        again = other.get(f"/login?code={code}")
        assert again.status_code == 401
        assert "The link was used already, or is too old." in again.text


def test_a_code_is_over_after_its_time() -> None:
    """Whether it was used or not."""
    now = 0.0
    codes = Codes(clock=lambda: now)
    first, second = codes.new(), codes.new()
    now = LENGTH_S - 1
    assert codes.take(first)
    assert not codes.take(first)
    now = LENGTH_S + 1
    assert not codes.take(second)
    assert not codes.take("")


@pytest.mark.parametrize(
    "to",
    [
        "http://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "/\r\nSet-Cookie: x", "///evil.example", "javascript:alert(1)",
        "data:text/html,x", "evil.example", "", " /x", "/x y", "/\x00", "/ä", "/a\\b",
        "/login?next=/login", "https:evil.example", "/\u2044evil.example",
    ],
)  # fmt: skip
def test_nobody_is_led_to_another_site(served: Served, to: str) -> None:
    """What is no path of this site is its first page."""
    assert local(to) == "/"
    with served.client() as browser:
        entered = browser.post("/login", data={"token": served.tokens[Role.READ], "next": to})
        assert entered.headers["location"] == "/"
        page = browser.get("/login", params={"next": to})
        assert 'name="next" value="/"' in page.text


@pytest.mark.parametrize("to", ["/", "/studies", "/studies/a%20b?x=1&y=2#z", "/a//b", "/@x"])
def test_paths_of_this_site_are_kept(to: str) -> None:
    """With their queries."""
    assert local(to) == to


def test_who_logs_out_ends_the_session(served: Served) -> None:
    """A copy of the cookie is worth nothing from then on, after a restart as well."""
    with served.browser(Role.ADMIN) as browser:
        cookie = browser.cookies[served.access.cookie]
        out = browser.post("/logout", data={"csrf_token": served.csrf_token(browser)})
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert "Max-Age=0" in out.headers["set-cookie"]
    with served.client(cookie=f"{served.access.cookie}={cookie}") as thief:
        assert thief.get("/api/v1/jobs").status_code == 401
    assert served.access.sessions.read(cookie) is None
    assert Sessions.of(served.access.settings.folder).read(cookie) is None


def test_a_session_outlives_a_restart_and_ends_with_its_token(
    service: Service, tmp_path: Path
) -> None:
    """The key is in the folder of the service."""
    path = tmp_path / "tokens"
    text = tokens.add(path, "me", Role.RUN)
    settings = replace(service.settings, token_file=path)
    access = Access.opened(settings, service.storage)
    token = access.tokens.of(text)
    assert token is not None
    cookie = access.sessions.begun(token)

    later = Access.opened(settings, service.storage)
    session = later.sessions.read(cookie)
    assert session is not None
    assert later.tokens.of_hash(session.token_sha256) == token
    tokens.remove(path, "me")
    assert Access.opened(settings, service.storage).tokens.of_hash(session.token_sha256) is None


def test_old_ends_of_sessions_are_forgotten(tmp_path: Path) -> None:
    """Their cookies are over anyway."""
    sessions = Sessions.of(tmp_path)
    access_token = tokens.read(_one(tmp_path))[0]
    first = sessions.read(sessions.begun(access_token))
    second = sessions.read(sessions.begun(access_token))
    assert first is not None
    assert second is not None
    sessions.end(replace(first, ends=1.0))
    sessions.end(second)

    assert (tmp_path / "ended").read_text() == f'{{"{second.number}": {second.ends}}}'


def _one(folder: Path) -> Path:
    tokens.add(folder / "tokens", "one", Role.READ)
    return folder / "tokens"


@pytest.mark.parametrize(("name", "text"), [("key", ""), ("key", "short"), ("ended", "[1]")])
def test_damaged_files_of_sessions_are_refused(tmp_path: Path, name: str, text: str) -> None:
    """An empty key would be everybody's."""
    Sessions.of(tmp_path)
    (tmp_path / name).touch(mode=0o600)
    (tmp_path / name).write_text(text)

    with pytest.raises(Exception, match=r"has no key: one is 64|does not say which sessions"):
        Sessions.of(tmp_path)


def test_failures_are_limited(served: Served) -> None:
    """Beyond the limit they are answered and not written down; who has a token is not kept out."""
    before = len(audit_entries(served.access.storage))
    with served.client(authorization="Bearer wrong") as wrong, served.client(Role.READ) as right:
        for _ in range(LIMIT):
            assert wrong.get("/api/v1/jobs").status_code == 401
        for _ in range(3):
            refused = wrong.get("/api/v1/jobs")
            assert refused.status_code == 429
            assert 0 < int(refused.headers["retry-after"]) <= WINDOW_S
        assert right.get("/api/v1/jobs").status_code == 200
        assert right.post("/login", data={"token": served.tokens[Role.READ]}).status_code == 303
    actions = [each.action for each in audit_entries(served.access.storage)][: LIMIT + 1]
    assert actions == ["login", *(LIMIT * ["refused"])]
    assert len(audit_entries(served.access.storage)) == before + LIMIT + 1


def test_failed_logins_are_limited(served: Served) -> None:
    """From one address; programs with tokens go on."""
    with served.client(Role.READ) as client:
        for _ in range(LIMIT):
            assert client.post("/login", data={"token": "wrong"}).status_code == 401
        for data in ({"token": "wrong"}, {"token": served.tokens[Role.READ]}):
            refused = client.post("/login", data=data)
            assert refused.status_code == 429
            assert refused.json()["detail"] == "too many failures came from there"
        assert client.get("/login?code=x").status_code == 429
        assert client.get("/login").status_code == 200
        assert client.get("/api/v1/jobs").status_code == 200


def test_failures_are_counted_by_address() -> None:
    """What one has of IPv6 is a network; windows end; memory has a bound."""
    now = 1000.0
    attempts = Attempts(clock=lambda: now)
    for number in range(LIMIT):
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.blocked_s("2001:db8::ffff") == WINDOW_S
    assert attempts.blocked_s("2001:db8:0:1::1") == 0
    for _ in range(LIMIT):
        attempts.failed("::ffff:10.0.0.1")
    assert attempts.blocked_s("10.0.0.1") > 0
    assert attempts.wait_s("10.0.0.2") == 0
    now += WINDOW_S + 1
    assert attempts.blocked_s("10.0.0.1") == 0

    for number in range(LIMIT_OF_ALL):
        attempts.failed(f"10.1.{number}.1")
    assert attempts.wait_s("10.0.0.2") > 0
    assert attempts.blocked_s("10.0.0.2") == 0
    for number in range(20_000):
        attempts.failed(f"somewhere-{number}")
    assert len(attempts._failures) <= 10_000
    assert attempts.wait_s("10.0.0.2") > 0


def test_other_names_of_the_service_are_those_that_were_stated(served: Served) -> None:
    """With any port, in upper case."""
    with served.client(Role.READ) as client:
        for host in ("tuner.example", "TUNER.example:443", "localhost"):
            assert client.get("/api/v1/jobs", headers={"Host": host}).status_code == 200
        refused = client.get("/login", headers={"Host": "evil.example"})
        assert refused.status_code == 421
        assert refused.json()["detail"] == "the service is not asked by this name"


def test_each_answer_says_what_a_browser_may_do(served: Served) -> None:
    """Also where it is an error; nothing behind a token is kept anywhere."""
    with served.client() as stranger, served.client(Role.READ) as reader:
        for answer in (
            stranger.get("/login"),
            stranger.get("/api/v1/jobs"),
            stranger.get("/", headers={"Host": "evil.example"}),
            reader.get("/api/v1/jobs"),
            reader.get("/nowhere"),
        ):
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            kept = "private, no-cache" if answer.url.path == "/api/v1/jobs" else "no-store"
            assert answer.headers["cache-control"] == (kept if answer.is_success else "no-store")
        assert "cache-control" not in stranger.get("/static/nowhere").headers
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert reader.get(path).status_code == 404
    assert "unsafe" not in POLICY


def test_a_body_is_not_read_to_no_end(served: Served) -> None:
    """Whether its length is said or not, and of a stranger not at all."""

    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield 100_000 * b"x"

    with served.client(Role.RUN) as client, served.client() as stranger:
        json = {"Content-Type": "application/json"}
        said = client.post("/api/v1/jobs", content=2_000_000 * b"x", headers=json)
        unsaid = client.post("/api/v1/jobs", content=endless(), headers=json)
        for answer in (said, unsaid):
            assert answer.status_code == 413
            assert answer.json()["detail"] == "the body of the request has more than 1048576 bytes"
        strange = stranger.post("/api/v1/jobs", content=2_000_000 * b"x", headers=json)
        assert strange.status_code == 401


def test_the_audit_says_who_did_what(served: Served) -> None:
    """The latest first, a page at a time."""
    with served.client(Role.ADMIN) as admin:
        admin.post("/login", data={"token": "wrong"})
        admin.post("/login", data={"token": served.tokens[Role.RUN]})
        first = admin.get("/api/v1/audit?limit=2").json()
        assert [(e["by"], e["address"], e["action"]) for e in first["items"]] == [
            ("run", "127.0.0.1", "login"),
            ("", "127.0.0.1", "failed login"),
        ]
        assert first["before"] == first["items"][-1]["id"]
        older = admin.get("/api/v1/audit", params={"before": first["before"], "limit": 1}).json()
        assert older["items"][0]["id"] < first["before"]
        whole = admin.get("/api/v1/audit?limit=1000").json()
        assert whole["before"] is None
        for bad in ("limit=0", "limit=1001", "before=0", "before=x", f"before={2**70}"):
            assert admin.get(f"/api/v1/audit?{bad}").status_code == 422


def test_secrets_are_not_in_the_audit(service: Service) -> None:
    """Nor what no database keeps."""
    who = Principal("me", Role.RUN, "10.0.0.1")
    audited(
        service,
        who,
        "submit",
        "night\0\ud800" + 1000 * "x",
        options={"url": "http://a:b@c/?k=v", "token": "secret", "list": ["http://u:p@h", 1, None]},
    )
    (entry,) = audit_entries(service.storage)
    assert (entry.by, entry.address, entry.action) == ("me", "10.0.0.1", "submit")
    assert entry.subject.startswith("night\N{REPLACEMENT CHARACTER}?xxx")
    assert len(entry.subject) == 300
    assert entry.content["options"] == {
        "url": f"http://{HIDDEN}@c/?k={HIDDEN}",
        "token": HIDDEN,
        "list": [f"http://{HIDDEN}@h", 1, None],
    }


def test_a_token_is_known_by_its_hash_alone() -> None:
    """The hash is that of the standard, so that others can make the file as well."""
    assert tokens.hashed("x") == hashlib.sha256(b"x").hexdigest()


def test_the_cookie_is_for_one_port(served: Served) -> None:
    """Browsers send cookies of a host to all its ports: two services do not end each other."""
    port = served.access.settings.port
    assert served.access.cookie == f"tuner-{port}"
    with served.browser(Role.READ) as browser:
        assert list(SimpleCookie(browser.cookies)) == [f"tuner-{port}"]


@pytest.mark.parametrize("is_browser", [False, True], ids=["token", "session"])
def test_a_stream_ends_with_its_token(
    served: Served, monkeypatch: pytest.MonkeyPatch, *, is_browser: bool
) -> None:
    """Who is not let in any more is not told any more."""
    monkeypatch.setattr(watching, "_STILL_HERE_S", 0.0)
    monkeypatch.setattr(watching, "LOOK_S", 0.05)
    monkeypatch.setattr(tokens, "_LOOK_S", 0.0)
    path = served.access.settings.token_file
    assert path is not None
    text = tokens.add(path, "leaving", Role.READ)
    headers = {"Authorization": f"Bearer {text}"}
    if is_browser:
        session = served.access.sessions.begun(tokens.read(path)[-1])
        headers = {"Cookie": f"{served.access.cookie}={session}"}
    wait_until(lambda: served.access.tokens.of(text) is not None)
    with (
        httpx.Client(base_url=served.url, headers=headers, verify=PLAIN) as client,
        client.stream("GET", "/api/v1/events", timeout=20) as told,
    ):
        assert told.status_code == 200
        tokens.remove(path, "leaving")
        told.read()
        assert client.get("/api/v1/jobs").status_code == 401
