"""Where a server runs: start one, prove that it listens, stop it."""

from runners.base import LaunchSpec, Runner, RunningServer
from runners.errors import (
    CommandNotFound,
    LaunchRefused,
    PortTaken,
    RunnerError,
    StartFailed,
    StartTimeout,
    StopFailed,
)
from runners.process import ProcessRunner

__all__ = [
    "CommandNotFound",
    "LaunchRefused",
    "LaunchSpec",
    "PortTaken",
    "ProcessRunner",
    "Runner",
    "RunnerError",
    "RunningServer",
    "StartFailed",
    "StartTimeout",
    "StopFailed",
]
