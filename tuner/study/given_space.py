"""The search space that a person names: a built-in one, or a file."""

from pathlib import Path

from tuner.errors import InputError, SpaceError, did_you_mean
from tuner.space import spec
from tuner.targets.catalog import SERVERS
from tuner.targets.command.target import CommandTarget


def space_path(space: str) -> Path:
    """The file of a built-in space by its name, or of any other by its path."""
    return spec.built_in().get(space, Path(space))


def given_space(file: Path | None, *, server: str) -> spec.SpaceSpec | None:
    """The space of `file`; None where none was given. Empty `server` is that of the space.

    Raises:
        InputError: It cannot be used, or is for another server than the one that was named.
    """
    if file is None:
        return None
    found = spec.load_space(space_path(str(file)))
    if found.server not in SERVERS:
        raise SpaceError(
            f"{file}: is for the server `{found.server}`, but only "
            f"{', '.join(f'`{name}`' for name in SERVERS)} can be tuned",
            hint=did_you_mean(found.server, SERVERS),
        )
    if found.serve and found.server != CommandTarget.server:
        raise SpaceError(
            f"{file}: serve: goes with `server: command` only, but got `server: {found.server}`",
            hint="that server is known: leave the section out",
        )
    if server and found.server != server:
        raise InputError(
            f"{file}: is for the server `{found.server}`, but `--server {server}` was given",
            hint="leave `--server` out, or choose another space",
        )
    return found
