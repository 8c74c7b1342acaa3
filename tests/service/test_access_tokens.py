"""Tokens: in files that their owner alone reads, only as hashes, and seen without a restart."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.service.access import private, tokens
from tuner.service.access.principal import Role
from tuner.service.access.tokens import Tokens


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _refused(path: Path, text: str) -> str:
    private.write(path, text)
    with pytest.raises(InputError) as caught:
        tokens.read(path)
    return caught.value.message


def test_the_own_token_is_made_once(tmp_path: Path) -> None:
    """It is read again at later starts, and nobody else can read it."""
    first, again = tokens.own(tmp_path), tokens.own(tmp_path)

    assert (first.is_new, again.is_new) == (True, False)
    assert first.text == again.text
    assert _mode(tmp_path / "token") == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize(
    ("mode", "owner", "who", "is_open"),
    [
        (0o600, 1000, 1000, False),
        (0o640, 1000, 1000, True),
        (0o640, 0, 1000, False),
        (0o440, 0, 1000, False),
        (0o644, 0, 1000, True),
        (0o660, 0, 1000, True),
        (0o640, 0, 0, True),
    ],
)
def test_a_file_that_root_hands_to_a_group(
    monkeypatch: pytest.MonkeyPatch, mode: int, owner: int, who: int, *, is_open: bool
) -> None:
    """Its group may read it, as secrets come to a container; nobody else, and none of its own."""
    monkeypatch.setattr(os, "geteuid", lambda: who)
    found = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, 1000, 0, 0, 0, 0))
    assert private._is_open(found) is is_open


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The hint says what to do."""
    tokens.own(tmp_path)
    (tmp_path / "token").chmod(0o640)

    with pytest.raises(InputError) as caught:
        tokens.own(tmp_path)
    path = tmp_path / "token"
    assert caught.value.message == f"`{path}` can be read by others, and has secrets"
    assert caught.value.hint == (f"chmod 600 {path}; make new tokens if somebody may have read it")


@pytest.mark.parametrize("text", ["", "short", "x y" * 20, 40 * "ä"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    """Nobody gets in with an empty one."""
    private.write(tmp_path / "token", text)

    with pytest.raises(InputError, match="has no token: one is at least 32 letters and digits"):
        tokens.own(tmp_path)


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    """One that others can write to is refused: they could replace the token."""
    private.folder(tmp_path / "new/service")
    assert _mode(tmp_path / "new/service") == 0o700

    tmp_path.chmod(0o770)
    with pytest.raises(InputError) as caught:
        private.folder(tmp_path)
    tmp_path.chmod(0o700)
    assert "can be written by others: they could replace the token" in caught.value.message
    assert caught.value.hint == f"chmod 700 {tmp_path}"


def test_a_folder_or_a_file_that_cannot_be_made_is_an_error_of_the_user(tmp_path: Path) -> None:
    """No traceback."""
    (tmp_path / "file").touch()

    with pytest.raises(InputError, match="cannot be used: File exists"):
        private.folder(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be used: Not a directory"):
        private.write(tmp_path / "file/token", "x")
    with pytest.raises(InputError, match="cannot be used: No such file or directory"):
        private.kept(tmp_path / "nowhere/token", lambda: "x")


def test_of_two_that_make_a_file_at_once_both_get_the_same(tmp_path: Path) -> None:
    """The one that is first wins."""
    path = tmp_path / "key"

    def second() -> str:
        private.write(path, "first")
        return "second"

    assert private.kept(path, second) == ("first", False)
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_the_file_has_hashes_only(tmp_path: Path) -> None:
    """With the name, the role and the times."""
    path = tmp_path / "tokens"
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    text = tokens.add(path, "ci", Role.RUN, ends)

    assert _mode(path) == 0o600
    assert text not in path.read_text()
    (entry,) = json.loads(path.read_text())["tokens"]
    assert entry.keys() == {"name", "role", "sha256", "created", "expires"}
    assert (entry["name"], entry["role"]) == ("ci", "run")
    assert entry["sha256"] == tokens.hashed(text)
    assert text not in repr(tokens.read(path))
    assert entry["sha256"] not in repr(tokens.read(path))


@pytest.mark.parametrize("name", ["", "a b", "../x", "local", "x" * 65, "ä", "a\n", "-x", "<b>"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    """They stand in the audit, in pages and in logs."""
    with pytest.raises(InputError, match="cannot be the name of a token"):
        tokens.add(tmp_path / "tokens", name, Role.READ)


def test_a_name_is_there_once(tmp_path: Path) -> None:
    """A second token under it would hide whose it is."""
    path = tmp_path / "tokens"
    tokens.add(path, "ci", Role.RUN)

    with pytest.raises(InputError, match="there is a token `ci` already") as caught:
        tokens.add(path, "ci", Role.ADMIN)
    assert caught.value.hint == f"tuner tokens remove ci --token-file {path}"
    with pytest.raises(InputError, match=r"there is no token `other` in `.*`") as caught:
        tokens.remove(path, "other")
    assert caught.value.hint == f"tuner tokens list --token-file {path}"


def test_another_file_is_no_file_of_tokens(tmp_path: Path) -> None:
    """It is said what is wrong with it."""
    path = tmp_path / "tokens"
    digest = 64 * "0"

    def entry(**changes: object) -> str:
        made = {"name": "a", "role": "run", "sha256": digest, "created": "2026-01-01T00:00:00Z"}
        return json.dumps({"tokens": [made | changes]})

    assert "there is no file of tokens" in _absent(path)
    assert f"`{path}` is no file of tokens: it: Invalid JSON" in _refused(path, "secret: x")
    assert "tokens.0.role: Value error, `root` is none of" in _refused(path, entry(role="root"))
    assert "tokens.0.sha256: String should match" in _refused(path, entry(sha256="x"))
    assert "tokens.0.name: String should match" in _refused(path, entry(name="a b"))
    assert "tokens.0.created: " in _refused(path, entry(created="2026-01-01T00:00:00"))
    assert "tokens.0.more: Extra inputs" in _refused(path, entry(more=1))
    assert _refused(path, "[]").startswith(f"`{path}` is no file of tokens")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be used: it is no text"):
        tokens.read(path)


def _absent(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        tokens.read(path)
    return caught.value.message


def _looked_at_again(known: Tokens) -> Tokens:
    """Without waiting until it looks at the file the next time."""
    known._looked = -1e9
    return known


def test_changes_of_the_file_are_seen(tmp_path: Path) -> None:
    """A new token is valid, one that was taken away is not, and the own one stays."""
    path = tmp_path / "tokens"
    first = tokens.add(path, "first", Role.READ)
    known = Tokens("own", path)
    second = tokens.add(path, "second", Role.RUN)
    tokens.remove(path, "first")

    assert known.of(first) is not None  # it has not looked yet
    _looked_at_again(known)
    assert known.of(first) is None
    found = known.of(second)
    assert found is not None
    assert (found.name, found.role) == ("second", Role.RUN)
    own = known.of("own")
    assert own is not None
    assert (own.name, own.role) == ("local", Role.ADMIN)


@pytest.mark.parametrize("damage", ["gone", "readable", "broken"])
def test_a_file_that_cannot_be_trusted_lets_nobody_in(tmp_path: Path, damage: str) -> None:
    """The service goes on with its own token, and says so in its log."""
    path = tmp_path / "tokens"
    text = tokens.add(path, "first", Role.READ)
    known = Tokens("own", path)
    if damage == "gone":
        path.unlink()
    elif damage == "readable":
        path.chmod(0o644)
    else:
        private.write(path, "{")

    _looked_at_again(known)
    assert known.of(text) is None
    assert known.of("own") is not None


def test_the_file_is_looked_at_once_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests pay for a hash and a look-up."""
    path = tmp_path / "tokens"
    text = tokens.add(path, "first", Role.READ)
    known = Tokens("own", path)
    seen: list[object] = []
    monkeypatch.setattr(os, "stat", seen.append)

    for _ in range(100):
        assert known.of(text) is not None
    assert len(seen) <= 1


def test_an_expired_token_is_none(tmp_path: Path) -> None:
    """From the very moment on."""
    path = tmp_path / "tokens"
    over = tokens.add(path, "over", Role.ADMIN, datetime.now(UTC) - timedelta(seconds=1))
    valid = tokens.add(path, "valid", Role.ADMIN, datetime.now(UTC) + timedelta(hours=1))
    known = Tokens("own", path)

    assert known.of(over) is None
    assert known.of(valid) is not None


def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner could change it; root could anyway."""
    somebody = os.stat_result((0o600, 0, 0, 1, os.geteuid() + 1, 0, 0, 0, 0, 0))
    with pytest.raises(InputError) as caught:
        private._check_owner(tmp_path, somebody)
    assert "belongs to another user, who could change the tokens" in caught.value.message
    assert caught.value.hint == f"choose another one, or: chown {os.geteuid()} {tmp_path}"


def test_who_changes_the_file_at_once_loses_nothing(tmp_path: Path) -> None:
    """A token that was taken away stays away, and one that was made is there."""
    path = tmp_path / "tokens"
    tokens.add(path, "gone", Role.READ)
    with ThreadPoolExecutor() as several:
        made = [several.submit(tokens.add, path, f"t{n}", Role.READ) for n in range(8)]
        several.submit(tokens.remove, path, "gone").result()
        for each in made:
            each.result()
    assert {each.name for each in tokens.read(path)} == {f"t{n}" for n in range(8)}
