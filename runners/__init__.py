"""Where a server runs: start one, prove that it listens, stop it."""

from runners.base import LaunchSpec, Runner, RunningServer
from runners.docker import ContainerSettings, DockerRunner
from runners.errors import (
    CommandNotFound,
    EngineUnreachable,
    ImageMissing,
    LaunchRefused,
    PortTaken,
    RunnerError,
    StartFailed,
    StartTimeout,
    StopFailed,
)
from runners.process import ProcessRunner
from runners.remote import RemoteRunner, RemoteServer

__all__ = [
    "CommandNotFound",
    "ContainerSettings",
    "DockerRunner",
    "EngineUnreachable",
    "ImageMissing",
    "LaunchRefused",
    "LaunchSpec",
    "PortTaken",
    "ProcessRunner",
    "RemoteRunner",
    "RemoteServer",
    "Runner",
    "RunnerError",
    "RunningServer",
    "StartFailed",
    "StartTimeout",
    "StopFailed",
]
