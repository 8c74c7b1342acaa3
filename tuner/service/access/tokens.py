"""The tokens of a service: its own, and those of further people in a file.

Of the latter only hashes are kept. A token is 256 random bits, so that one round of SHA-256 is
enough: nobody can try them all, and slow hashes are for passwords, which people choose.
"""

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from tuner.errors import InputError
from tuner.service.access import private
from tuner.service.access.principal import Role

OWN_NAME = "local"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
# How often the file is looked at, in seconds.
_LOOK_S = 1.0

_log = logging.getLogger(__name__)


def role_of(name: object) -> Role:
    """The role that is called so.

    Raises:
        ValueError: There is none.
    """
    for role in Role:
        if name in (role, str(role)):
            return role
    raise ValueError(f"`{name}` is none of the roles {', '.join(map(str, Role))}")


class Token(BaseModel):
    """Who holds it and what it allows; of itself only its hash, in hexadecimal digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]
    role: Annotated[Role, BeforeValidator(role_of), PlainSerializer(str)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", repr=False)]
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @property
    def is_over(self) -> bool:
        return self.expires is not None and datetime.now(UTC) >= self.expires


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class OwnToken:
    """The token that a service makes for itself; `text` says it, `is_new` that it was made now."""

    text: str
    is_new: bool


def new_text() -> str:
    """A token that nobody can guess: 256 random bits."""
    return secrets.token_urlsafe(32)


def hashed(text: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def own(folder: Path) -> OwnToken:
    """The token in the folder of a service, made at its first start.

    Raises:
        InputError: Its file cannot be used, or others can read it.
    """
    path = folder / "token"
    text, is_new = private.kept(path, lambda: f"{new_text()}\n")
    if not re.fullmatch(r"[\w-]{32,200}", text.strip(), re.ASCII):
        raise InputError(
            f"`{path}` has no token: one is at least 32 letters and digits",
            hint=f"delete {path}: a new one is made at the next start",
        )
    return OwnToken(text.strip(), is_new)


def read(path: Path) -> tuple[Token, ...]:
    """The tokens in a file.

    Raises:
        InputError: It is not there, others can read it, or it is no such file.
    """
    try:
        return _File.model_validate_json(private.read(path)).tokens
    except FileNotFoundError:
        raise InputError(
            f"there is no file of tokens `{path}`",
            hint=f"tuner tokens add NAME --role admin --token-file {path}",
        ) from None
    except ValidationError as error:
        where = ".".join(str(each) for each in error.errors()[0]["loc"])
        raise InputError(
            f"`{path}` is no file of tokens: {where or 'it'}: {error.errors()[0]['msg']}",
            hint="`tuner tokens add` writes one",
        ) from None


def add(path: Path, name: str, role: Role, expires: datetime | None = None) -> str:
    """Make a token for somebody, and say it: it is nowhere else.

    Raises:
        InputError: The name is taken or none, or the file cannot be used.
    """
    if not _NAME.fullmatch(name) or name == OWN_NAME:
        raise InputError(
            f"`{name}` cannot be the name of a token",
            hint=f"up to 64 letters, digits, and . _ @ -; `{OWN_NAME}` is the service's own",
        )
    text = new_text()
    made = Token(
        name=name, role=role, sha256=hashed(text), created=datetime.now(UTC), expires=expires
    )
    # Of two who change the file at once, one would bring back what the other one took away.
    with private.alone(path.parent):
        known = read(path) if path.exists() else ()
        if any(each.name == name for each in known):
            raise InputError(
                f"there is a token `{name}` already",
                hint=f"tuner tokens remove {name} --token-file {path}",
            )
        _write(path, (*known, made))
    return text


def remove(path: Path, name: str) -> None:
    """Take a token away: it and the sessions that began with it end at once.

    Raises:
        InputError: There is none of that name, or the file cannot be used.
    """
    with private.alone(path.parent):
        known = read(path)
        left = tuple(each for each in known if each.name != name)
        if len(left) == len(known):
            raise InputError(
                f"there is no token `{name}` in `{path}`",
                hint=f"tuner tokens list --token-file {path}",
            )
        _write(path, left)


class Tokens:
    """Those of a service that runs; changes of the file are seen within a second."""

    def __init__(self, own_text: str, path: Path | None) -> None:
        """Raises InputError if the file cannot be used."""
        now = datetime.now(UTC)
        self._own = Token(name=OWN_NAME, role=Role.ADMIN, sha256=hashed(own_text), created=now)
        self._path = path
        self._seen = _stamp(path)
        self._looked = monotonic()
        self._by_hash = self._table(read(path) if path else ())

    def of(self, text: str) -> Token | None:
        """The token that somebody says; None if there is none such."""
        return self.of_hash(hashed(text))

    def of_hash(self, digest: str) -> Token | None:
        """The token with this hash; None if there is none, or no more."""
        self._look()
        # Hashes are looked up: how long that takes says nothing about a token.
        found = self._by_hash.get(digest)
        return None if found is None or found.is_over else found

    def _look(self) -> None:
        now = monotonic()
        if self._path is None or now - self._looked < _LOOK_S:
            return
        self._looked = now
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._by_hash = self._table(read(self._path))
        except InputError as error:
            # Nobody is let in by a file that cannot be trusted.
            _log.error("%s: only the service's own token is valid", error.message)
            self._by_hash = self._table(())

    def _table(self, tokens: Iterable[Token]) -> dict[str, Token]:
        return {each.sha256: each for each in (*tokens, self._own)}


def _stamp(path: Path | None) -> tuple[int, ...]:
    """Another one whenever the file is another one."""
    try:
        found = os.stat(path) if path else None  # noqa: PTH116 - None is nothing
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode) if found else ()


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    private.write(path, _File(tokens=tokens).model_dump_json(indent=2) + "\n")
