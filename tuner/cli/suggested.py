"""Commands that a person most likely wants to type next."""

import shlex

from tuner.cli.options import DATABASE
from tuner.errors import masked


def command(name: str, study: str, database: str = DATABASE, *more: str) -> str:
    """One about a study, with its database where that is not the usual one."""
    words = ["tuner", name, study, *more]
    return shlex.join(words if database == DATABASE else [*words, "--db", masked(database)])
