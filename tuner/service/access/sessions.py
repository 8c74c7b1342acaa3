"""Sessions of a browser: a signed cookie, so that they outlive a restart of the service."""

import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuner.errors import InputError
from tuner.service.access import private
from tuner.service.access.tokens import Token

LENGTH_S = 12 * 3600.0
"""How long a session lasts, in seconds."""
# A cookie of ours has about 200 characters.
_LONGEST = 500


@dataclass(frozen=True)
class Session:
    """What a cookie says: the hash of the token that it began with, and a number of its own.

    It `ends` at this time, in seconds since 1970.
    """

    token_sha256: str
    number: str
    ends: float
    csrf_token: str


class Sessions:
    """Makes and reads cookies; what is signed with another key is none of them.

    A cookie is valid until its time is over. Sessions that end before are in a file until then, so
    that who has copied a cookie has nothing.
    """

    def __init__(self, key: bytes, ended: Path) -> None:
        self._key, self._file = key, ended
        self._lock = threading.Lock()
        self._ended: Mapping[str, float] = _read(ended)

    @classmethod
    def of(cls, folder: Path) -> "Sessions":
        """Those of the service with this folder, which has the key.

        Raises:
            InputError: The file of the key cannot be used, or others can read it.
        """
        path = folder / "key"
        text, _ = private.kept(path, lambda: f"{secrets.token_hex(32)}\n")
        if not re.fullmatch("[0-9a-f]{64}", text.strip()):
            raise InputError(
                f"`{path}` has no key: one is 64 hexadecimal digits",
                hint=f"delete {path}: a new one is made at the next start, and sessions end",
            )
        return cls(text.strip().encode(), folder / "ended")

    def begun(self, token: Token) -> str:
        """The cookie of a new session of whoever holds this token."""
        ends = _now() + LENGTH_S
        if token.expires is not None:
            ends = min(ends, token.expires.timestamp())
        said = {"token": token.sha256, "number": secrets.token_hex(8), "ends": int(ends)}
        text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
        return f"{text}.{self._signature('session', text)}"

    def read(self, cookie: str) -> Session | None:
        """The session; None if it is over, or was not begun here."""
        text, _, signature = cookie.partition(".")
        if len(cookie) > _LONGEST or not hmac.compare_digest(
            signature.encode(), self._signature("session", text).encode()
        ):
            return None
        said: Mapping[str, Any] = json.loads(base64.urlsafe_b64decode(f"{text}=="))
        if _now() >= said["ends"] or said["number"] in self._ended:
            return None
        return Session(said["token"], said["number"], said["ends"], self._signature("csrf", text))

    def end(self, session: Session) -> None:
        """Take a session back.

        Raises:
            InputError: That cannot be written down.
        """
        with self._lock:
            left = {number: ends for number, ends in self._ended.items() if ends > _now()}
            self._ended = {**left, session.number: session.ends}
            private.write(self._file, json.dumps(self._ended))

    def _signature(self, purpose: str, text: str) -> str:
        # A signature for one purpose is none for another one.
        said = f"{purpose} {text}".encode(errors="replace")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _read(path: Path) -> dict[str, float]:
    """The sessions that were given back; none where the file is not there."""
    with contextlib.suppress(FileNotFoundError):
        try:
            return {
                str(number): float(ends) for number, ends in json.loads(private.read(path)).items()
            }
        except (AttributeError, TypeError, ValueError):
            raise InputError(
                f"`{path}` does not say which sessions were ended",
                hint=f"delete it, and {path.with_name('key')}: all sessions end",
            ) from None
    return {}
