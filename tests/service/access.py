"""A service that listens, with a token for each role and browsers that logged in."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from tests.service.running import PLAIN, running
from tuner.service.access import tokens
from tuner.service.access.access import Access
from tuner.service.access.principal import Role
from tuner.service.settings import Settings
from tuner.store.storage import Storage


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


@pytest.fixture
def no_failures(served: Served) -> None:
    """Each test begins as if nobody had failed yet."""
    served.access.requests._failures.clear()
    served.access.logins._failures.clear()
