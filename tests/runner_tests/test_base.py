"""What a launch specification accepts, and how it fills in the ports."""

import re
from typing import Any

import pytest

from runners.base import LaunchSpec

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"command": ()}, "`command` must name a program, but got ()"),
    ({"command": ("",)}, "`command` must name a program, but got ('',)"),
    (
        {"command": ("a", "--port={port:grpc}"), "ports": ("http",)},
        "`{port:grpc}` must name one of `ports`, but got ports=('http',)",
    ),
    (
        {"environment": {"A": "{port:http}"}},
        "`{port:http}` must name one of `ports`, but got ports=()",
    ),
    ({"files": {"b": "{port:grpc}"}}, "`{port:grpc}` must name one of `ports`, but got ports=()"),
    ({"files": {"../b": ""}}, "a name in `files` must be that of a file, but got '../b'"),
    ({"ports": ("a", "a")}, "names in `ports` must be unique, but got ('a', 'a')"),
    ({"start_timeout_s": 0.0}, "`start_timeout_s > 0` must hold, but got 0.0"),
    ({"stop_grace_s": -1.0}, "`stop_grace_s >= 0` must hold, but got -1.0"),
    ({"cpus": frozenset({-1, 2})}, "`cpus` must be processor numbers or None, but got [-1, 2]"),
    ({"cpus": frozenset()}, "`cpus` must be processor numbers or None, but got []"),
]
LEFTOVERS = ["", "shm*", "/dev/shm/", "/dev/shm/*", "/dev/shm/.*"]  # noqa: S108 - only patterns


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_refused(fields: dict[str, Any], message: str) -> None:
    """A specification that cannot be launched is refused with the rule and the value."""
    with pytest.raises(ValueError, match=re.escape(message)):
        LaunchSpec(**{"command": ("a",), **fields})


@pytest.mark.parametrize("pattern", LEFTOVERS)
def test_greedy_leftovers_are_refused(pattern: str) -> None:
    """A pattern that would match what other programs own is refused."""
    with pytest.raises(ValueError, match=re.escape("`leftovers` must be absolute and its last")):
        LaunchSpec(command=("a",), leftovers=(pattern,))


def test_placed() -> None:
    """Numbers, address and folder take their places; all other braces are left alone."""
    spec = LaunchSpec(
        command=("a", "{port:http}:{port:grpc}", '{"b": {}}', "{address}"),
        environment={"URL": "tcp://:{port:http}", "TMPDIR": "{folder}"},
        files={"a.conf": "listen {address}:{port:grpc} {c}"},
        ports=("http", "grpc"),
        leftovers=("/dev/shm/a_{port:http}*",),  # noqa: S108 - only a pattern
    ).placed({"http": 1, "grpc": 2}, address="127.0.0.1", folder="/f")
    assert spec.command == ("a", "1:2", '{"b": {}}', "127.0.0.1")
    assert spec.environment == {"URL": "tcp://:1", "TMPDIR": "/f"}
    assert spec.files == {"a.conf": "listen 127.0.0.1:2 {c}"}
    assert spec.leftovers == ("/dev/shm/a_1*",)  # noqa: S108 - only a pattern


@pytest.mark.parametrize(
    ("spec", "needed"),
    [
        (LaunchSpec(command=("a",)), False),
        (LaunchSpec(command=("a", "{folder}")), True),
        (LaunchSpec(command=("a",), files={"b": ""}), True),
    ],
)
def test_needs_a_folder(spec: LaunchSpec, needed: bool) -> None:  # noqa: FBT001 - of the table
    """Only a specification with files, or one that names the folder, gets one."""
    assert spec.needs_folder is needed
