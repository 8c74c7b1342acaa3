"""Sessions of browsers: how they begin, what they allow, and when they end."""

from dataclasses import replace
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from tests.service.access import Served
from tuner.service.access import tokens
from tuner.service.access.access import Access
from tuner.service.access.codes import LENGTH_S, Codes
from tuner.service.access.login import local
from tuner.service.access.principal import Role
from tuner.service.access.sessions import Sessions
from tuner.service.service import Service

pytestmark = pytest.mark.usefixtures("no_failures")


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


def test_the_cookie_is_for_one_port(served: Served) -> None:
    """Browsers send cookies of a host to all its ports: two services do not end each other."""
    port = served.access.settings.port
    assert served.access.cookie == f"tuner-{port}"
    with served.browser(Role.READ) as browser:
        assert list(SimpleCookie(browser.cookies)) == [f"tuner-{port}"]
