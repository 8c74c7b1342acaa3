"""A service as a unit of systemd: a program of the machine, or Docker where there is an image.

Sources: systemd.service(5), "Command lines"; systemd.exec(5); systemd.syntax(7), "Quoting".
"""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tuner.exports import docker_run
from tuner.exports.service import Mount, Resources, Service, comments

_DOCKER = "/usr/bin/docker"
# Between two questions until it is ready, in seconds.
_RETRY_S = 1
# What needs no quotation marks.
_PLAIN = re.compile(r"[\w@%+=:,./*-]+", re.ASCII)
# Folders of people, which a dynamic user cannot read (systemd.exec, `ProtectHome=`).
_HOMES = ("/home/", "/root/")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def unit(service: Service) -> str:
    """The unit; the files that come with it stand above it as comments."""
    lines = [*_unit_section(service), "", "[Service]", *_service_section(service), ""]
    lines += ["[Install]", "WantedBy=multi-user.target", ""]
    head = (*service.notes, *_install(service))
    return comments(head) + "\n".join(lines)


def quoted(text: str, *, command: bool = False) -> str:
    """`text` as one word: `%` doubled, and in a command `$` as well."""
    doubled = text.replace("%", "%%")
    if command:
        doubled = doubled.replace("$", "$$")
    if _PLAIN.fullmatch(doubled):
        return doubled
    return '"' + "".join(_ESCAPES.get(each, each) for each in doubled) + '"'


def _unit_section(service: Service) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description={service.name.replace('%', '%%')}, tuned"
    yield "After=network-online.target" + (" docker.service" if service.image else "")
    yield "Wants=network-online.target"
    if service.image:
        yield "Requires=docker.service"


def _service_section(service: Service) -> Iterator[str]:
    yield "Type=exec"
    if service.image:
        yield from _container(service)
    else:
        yield from _program(service)
    retries = max(1, round(service.start_timeout_s / _RETRY_S))
    asking = ["/usr/bin/curl", "--silent", "--show-error", "--fail", "--output", "/dev/null"]
    asking += ["--retry", str(retries), "--retry-delay", str(_RETRY_S), "--retry-all-errors"]
    yield f"ExecStartPost={_words([*asking, service.url(service.probes.ready)])}"
    yield f"TimeoutStartSec={service.start_timeout_s:g}"
    yield "Restart=always"
    yield "RestartSec=5"


def _program(service: Service) -> Iterator[str]:
    program, *arguments = service.command
    if "/" in program:
        program = os.path.normpath(Path(service.directory, program))
    yield f"ExecStart={_words([program, *arguments])}"
    for name, value in service.environment.items():
        yield f"Environment={quoted(f'{name}={value}')}"
    if service.secrets:
        yield f"EnvironmentFile={_secrets_file(service)}"
    yield "DynamicUser=yes"
    if service.directory:
        yield f"WorkingDirectory={service.directory.replace('%', '%%')}"
    for mount in _kept(service):
        # A cache that is not there yet is no reason not to start.
        yield f"ReadWritePaths={quoted(f'-{mount.source}')}"
    covering = (file for file in service.files if file.covers)
    for file in covering:
        yield f"BindReadOnlyPaths={quoted(f'{_place(service, file.name)}:{file.target}')}"
    yield from _limits(service.resources)


def _limits(resources: Resources) -> Iterator[str]:
    if resources.cpus:
        yield f"CPUQuota={100 * resources.cpus:g}%"
    if resources.cpuset:
        yield f"CPUAffinity={resources.cpuset}"
    if resources.reserved_mib:
        yield f"MemoryLow={resources.reserved_mib}M"


def _container(service: Service) -> Iterator[str]:
    words = [_DOCKER, "run", "--rm", "--pull", "never"]
    for option in docker_run.options(service):
        words += [] if option[0] == "--restart" else option
    for file in service.files:
        words += ["--mount", docker_run.bind(Mount(_place(service, file.name), file.target))]
    words += [service.image, *service.command[1:]]
    if service.secrets:
        yield f"EnvironmentFile={_secrets_file(service)}"
    yield f"ExecStartPre=-{_words([_DOCKER, 'rm', '--force', service.name])}"
    yield f"ExecStart={_words(words)}"
    yield f"ExecStop={_words([_DOCKER, 'stop', service.name])}"


def _install(service: Service) -> Iterator[str]:
    if service.image:
        yield f"First, unless it is there: docker pull {shlex.quote(service.image)}"
    else:
        yield from _of_its_user(service)
    yield f"Put it there: /etc/systemd/system/{service.name}.service"
    if service.secrets:
        names = ", ".join(service.secrets)
        yield f"{_secrets_file(service)} says NAME=VALUE of: {names}"
    for file in service.files:
        yield f"file: {_place(service, file.name)}"
        yield from (f"    {line}" for line in file.text.splitlines())


def _of_its_user(service: Service) -> Iterator[str]:
    """What differs from a start in a terminal (systemd.exec(5), systemd.service(5))."""
    program = service.command[0]
    if "/" not in program:
        yield f"systemd looks for `{program}` on a PATH of its own: its whole path is safer."
    words = (service.directory, *service.command)
    if any(home in word for word in words for home in _HOMES):
        yield "DynamicUser=yes may keep it from reading what is below /home or /root."
    for mount in _kept(service):
        yield (
            f"Its user keeps files in {mount.source}: instead of DynamicUser=yes, let User= name "
            "one who may write there."
        )


def _kept(service: Service) -> Iterator[Mount]:
    return (mount for mount in service.mounts if mount.writable)


def _place(service: Service, name: str) -> str:
    return f"/etc/{service.name}/{name}"


def _secrets_file(service: Service) -> str:
    return _place(service, "secrets.env")


def _words(words: list[str] | tuple[str, ...]) -> str:
    """A command line; its program is no word of which anything is doubled but `%`."""
    program, *arguments = words
    return " ".join([quoted(program), *(quoted(word, command=True) for word in arguments)])
