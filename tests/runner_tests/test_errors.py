"""What the errors of the runners say."""

import pytest

from runners.errors import (
    CommandNotFound,
    LaunchRefused,
    PortTaken,
    RunnerError,
    StartFailed,
    StartTimeout,
    StopFailed,
    describe_exit,
)

MESSAGES = [
    (
        CommandNotFound(command="a", reason="No such file or directory"),
        "`a` must be an executable program, but the system says: No such file or directory",
        "install it, write its full path, or put its folder on `PATH`",
    ),
    (
        LaunchRefused(command="a", reason="Cannot allocate memory"),
        "`a` must be startable as described, but the system says: Cannot allocate memory",
        "check the working directory, the processors and the limits of this machine",
    ),
    (
        StartFailed(command="a", exit_code=1, complaint="no"),
        "the server must listen and stay, but `a` exited with code 1 before it listened: no",
        "read its log",
    ),
    (
        StartFailed(command="a", exit_code=1, log_location="logs/a.log"),
        "the server must listen and stay, but `a` exited with code 1 before it listened",
        "read the end of its log: logs/a.log",
    ),
    (
        StartTimeout(command="a", timeout_s=2.5, ports=("http", "grpc"), log_location="a.log"),
        "the server must listen within 2.5 s, but `a` did not on `http`, `grpc`",
        "raise `start_timeout_s`, or read the end of its log: a.log",
    ),
    (
        PortTaken(ports=[8000, 8001], attempts=3),
        (
            "a chosen port must stay free until the server listens on it, but 8000, 8001 was taken"
            " by another process, the last of 3 attempts"
        ),
        "see who holds it: `ss -tnap 'sport = :8000'`",
    ),
    (
        StopFailed(pid=123, waited_s=40.0),
        (
            "the server must be gone 40 s after it was stopped, but process 123"
            " or a descendant of it is still there"
        ),
        "it may be stuck in a driver or on a disk: see `ps -eo pid,ppid,stat,wchan,args`",
    ),
]


@pytest.mark.parametrize(("error", "message", "hint"), MESSAGES)
def test_message_and_hint(error: RunnerError, message: str, hint: str) -> None:
    """Each error says what was expected, what came, and what to do next."""
    assert str(error) == message
    assert error.hint == hint


def test_plain_error() -> None:
    """The parent carries the given message; its hint is empty unless given."""
    assert str(RunnerError("no")) == "no"
    assert RunnerError("no").hint == ""
    assert RunnerError("no", hint="do").hint == "do"


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(0, "exited with code 0"), (-15, "was ended by SIGTERM"), (-60, "was ended by signal 60")],
)
def test_describe_exit(exit_code: int, words: str) -> None:
    """Codes are numbers, signals have names, and real-time signals have numbers again."""
    assert describe_exit(exit_code) == words
