"""All that decides who gets into one service."""

from dataclasses import dataclass, field
from typing import Any, Self

from tuner.service.access import private, tokens
from tuner.service.access.attempts import Attempts
from tuner.service.access.codes import Codes
from tuner.service.access.sessions import Sessions
from tuner.service.access.tokens import OwnToken, Tokens
from tuner.service.settings import Settings
from tuner.store.audit import note
from tuner.store.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Access:
    """The tokens, the sessions of browsers, and who failed too often.

    Failures at the page where one logs in are counted apart from those of other requests: a
    program with an old token keeps nobody out.
    """

    settings: Settings
    storage: Storage
    own: OwnToken
    tokens: Tokens
    sessions: Sessions
    codes: Codes = field(default_factory=Codes)
    requests: Attempts = field(default_factory=Attempts)
    logins: Attempts = field(default_factory=Attempts)

    @classmethod
    def opened(cls, settings: Settings, storage: Storage) -> Self:
        """With the files in the folder of the service, which are made at its first start.

        Raises:
            InputError: One of them cannot be used, or others can read it.
        """
        private.folder(settings.folder)
        own = tokens.own(settings.folder)
        return cls(
            settings=settings,
            storage=storage,
            own=own,
            tokens=Tokens(own.text, settings.token_file),
            sessions=Sessions.of(settings.folder),
        )

    @property
    def is_secure(self) -> bool:
        """Whether it is served through TLS."""
        return self.settings.certificate is not None

    @property
    def cookie(self) -> str:
        """The name of the cookie: browsers do not tell ports of a host apart, so it does."""
        prefix = "__Host-" if self.is_secure else ""
        return f"{prefix}tuner-{self.settings.port}"

    def audit(self, by: str, address: str, action: str, subject: str, **content: Any) -> None:
        """Write down what somebody did."""
        note(self.storage, by=by, address=address, action=action, subject=subject, content=content)
