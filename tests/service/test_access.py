"""Who gets in: tokens, sessions of browsers, and what pages of other sites cannot do."""

import hashlib
import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from tests.runner_tests.waiting import wait_until
from tests.service.access import Served
from tests.service.running import PLAIN
from tuner.errors import HIDDEN
from tuner.service.access import gate, tokens
from tuner.service.access.attempts import LIMIT, LIMIT_OF_ALL, WINDOW_S, Attempts
from tuner.service.access.headers import POLICY
from tuner.service.access.principal import Principal, Role
from tuner.service.api import watching
from tuner.service.api.audited import audited
from tuner.service.service import Service
from tuner.store.audit import audit_entries

pytestmark = pytest.mark.usefixtures("no_failures")

# What is sent to these changes nothing of the service.
HARMLESS = ("/logout", "/api/v1/spaces/check")


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
