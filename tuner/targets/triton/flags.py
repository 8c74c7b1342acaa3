"""Triton's flags: which of them there are here, and what shows that the server heeds one.

When it starts, Triton logs a table of the options it runs with (server, src/tritonserver.cc). Not
every flag is in it, and a pool of memory is in it even where it could not be had.
"""

import logging
import re
from collections.abc import Mapping

from tuner.records import SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.space.space import SearchSpace
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.triton import install

logger = logging.getLogger(__name__)

_ROW = re.compile(r"^\| (\S+) +\| (\S*) +\|$", re.MULTILINE)
_RATE_LIMITS = {"off": "OFF", "execution_count": "EXEC_COUNT"}
# What the log says where a flag has come to nothing.
_UNDONE: Mapping[str, str] = {
    "--pinned-memory-pool-byte-size": "Unable to allocate pinned system memory",
    "--cuda-memory-pool-byte-size": "CUDA memory pool disabled",
}


def usable(space: SearchSpace) -> SearchSpace:
    """Without the flags that the installed Triton does not have: with one, it does not start.

    Where none is installed, or it does not tell, all of them stay.
    """
    known = install.options()
    gone = set()
    for parameter, flag in space.names_of("flag") if known else ():
        if flag not in known:
            logger.warning("`%s` is left out: Triton has no flag `%s`", parameter.name, flag)
            gone.add(parameter.name)
    return space.without(gone)


def flag_verdict(flag: str, value: Value, *, log: str) -> SettingVerdict:
    """Whether the server runs with `flag`, as the beginning of its log has it."""
    undone = _UNDONE.get(flag)
    if undone and undone in log:
        return refuted(f"the log says `{undone}`")
    name, expected = _row(flag, value_text(value))
    found = dict(_ROW.findall(log)).get(name)
    if found is None:
        return ACCEPTED
    if found == expected:
        return CONFIRMED
    return refuted(f"the log says {name} = {found}")


def _row(flag: str, value: str) -> tuple[str, str]:
    """The row of the table that tells of a flag; no name if none does."""
    match flag:
        case "--rate-limit":
            return "rate_limit", _RATE_LIMITS.get(value, value)
        case "--pinned-memory-pool-byte-size":
            return "pinned_memory_pool_byte_size", value
        case "--cuda-memory-pool-byte-size":
            gpu, _, size = value.partition(":")
            return f"cuda_memory_pool_byte_size{{{gpu}}}", size
        case "--cache-config":
            return "cache_enabled", "1"
        case _:
            return "", value
