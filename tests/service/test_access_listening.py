"""Where a service listens: loopback, or elsewhere with tokens and TLS."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.servers.certificates import Certificates, issued
from tests.service.running import running
from tuner.errors import InputError
from tuner.service.access import listening
from tuner.service.access.access import Access
from tuner.service.access.hosts import is_loopback
from tuner.service.service import Service


@pytest.fixture(scope="module")
def files() -> Iterator[Certificates]:
    with issued() as found:
        yield found


def test_the_token_is_said_at_the_first_start(service: Service) -> None:
    """With a link to log in; later starts have a new link alone."""
    access = Access.opened(service.settings, service.storage)
    lines = list(listening.greeting(access))
    assert lines[:2] == [
        f"token: {access.own.text}",
        f"(shown this once; kept in {service.settings.folder / 'token'})",
    ]
    link = re.fullmatch(r"log in: http://127\.0\.0\.1:8900/login\?code=(\S+)", lines[2])
    assert link is not None
    assert access.codes.take(link[1])
    assert lines[3:] == ["(once, within 10 minutes)"]

    again = list(listening.greeting(Access.opened(service.settings, service.storage)))
    assert len(again) == 2
    assert access.own.text not in "".join(again)


def test_without_tls_others_are_warned_of(service: Service, tmp_path: Path) -> None:
    """Where other machines reach it."""
    elsewhere = replace(service.settings, host="0.0.0.0")  # noqa: S104
    lines = list(listening.greeting(Access.opened(elsewhere, service.storage)))
    assert lines[-1] == (
        "warning: without TLS, everybody on the way reads the tokens; add `--tls-certificate` "
        "and `--tls-key`, or listen on 127.0.0.1 behind a proxy that has them"
    )
    assert "http://127.0.0.1:8900/login?code=" in lines[2]
    with_tls = replace(elsewhere, certificate=tmp_path / "c", certificate_key=tmp_path / "k")
    lines = list(listening.greeting(Access.opened(with_tls, service.storage)))
    assert "warning" not in "".join(lines)
    assert "https://127.0.0.1:8900/login?code=" in lines[0]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8900"),
        ("::1", "http://[::1]:8900"),
        ("::", "http://127.0.0.1:8900"),
        ("tuner.example", "http://tuner.example:8900"),
    ],
)
def test_where_a_browser_finds_it(service: Service, host: str, address: str) -> None:
    """On this machine."""
    assert listening.address(replace(service.settings, host=host)) == address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("tuner.example", False),
        ("localhost.evil.example", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, *, expected: bool) -> None:
    """A name is not believed to be of this machine."""
    assert is_loopback(host) is expected


def test_a_certificate_that_does_not_fit_is_refused(service: Service, files: Certificates) -> None:
    """Before the service is begun."""
    wrong = replace(
        service.settings, certificate=files.server_certificate, certificate_key=files.client_key
    )
    with pytest.raises(InputError, match=r"cannot be used with the key .*: \[?X?509?") as caught:
        listening.check_listening(wrong)
    assert caught.value.hint == "give the files in PEM form, the key without a password"
    listening.check_listening(replace(wrong, certificate_key=files.server_key))


def test_with_tls_the_cookie_is_for_tls_alone(service: Service, files: Certificates) -> None:
    """It has the prefix that no other host, and no page without TLS, can set."""
    settings = replace(
        service.settings, certificate=files.server_certificate, certificate_key=files.server_key
    )
    with running(
        settings,
        service.storage,
        ssl_certfile=files.server_certificate,
        ssl_keyfile=files.server_key,
    ) as app:
        access: Access = app.state.access
        port = access.settings.port
        trusting = files.client_context()
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting) as browser:
            entered = browser.post("/login", data={"token": access.own.text})
            said = entered.headers["set-cookie"]
            assert said.startswith(f"__Host-tuner-{port}=")
            assert "; Secure" in said
            assert "Domain" not in said
            assert browser.get("/api/v1/jobs").status_code == 200
