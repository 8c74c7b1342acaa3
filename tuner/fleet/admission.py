"""Whether a host may take part: what it says of itself beside what the driver has."""

import json
from dataclasses import dataclass, fields

from tuner.fleet.groups import difference
from tuner.fleet.host_facts import HostFacts, Versions
from tuner.hardware import Hardware

# A record says when its trial ran, and hosts are compared over time.
_MOST_OFFSET_S = 2.0
# Beside the files of a job a host has copies for its servers, and their logs.
_COPIES = 2
_ROOM_BYTES = 100 << 20
_INSTALL = "install there what the driver has: `pip install 'serving-tuner[fleet]=={}'`"


@dataclass(frozen=True)
class Refusal:
    """Why a host cannot take part, and what to do about it."""

    why: str
    cure: str


def read_facts(printed: tuple[int, str, str], own: Versions) -> HostFacts | Refusal:
    """What `tuner.fleet.host_facts` printed there: its exit status, and both outputs."""
    status, out, errors = printed
    cure = _INSTALL.format(own.tuner)
    if "No module named tuner" in errors or "No module named 'tuner'" in errors:
        return Refusal("the tuner is not installed there", cure)
    try:
        document = json.loads(out)
        theirs = Versions(**document["versions"])
    except (ValueError, KeyError, TypeError):
        said = errors.strip().splitlines()[-1:] or [f"it ended with status {status}"]
        return Refusal(f"the tuner there does not say what it is: {said[0]}", cure)
    return _unlike(theirs, own) or HostFacts.read(document)


def _unlike(theirs: Versions, own: Versions) -> Refusal | None:
    for field in fields(Versions):
        its, wanted = getattr(theirs, field.name), getattr(own, field.name)
        if its != wanted:
            why = f"it has {_NAMES[field.name]} {its}, and the driver {wanted}"
            if field.name == "code":
                why = f"it has another state of the tuner {own.tuner}"
            return Refusal(why, _CURES[field.name].format(wanted))
    return None


_NAMES = {
    "python": "Python",
    "tuner": "tuner",
    "ray": "Ray",
    "code": "code",
}
_CURES = {
    "python": "run Ray there with Python {}",
    "tuner": _INSTALL,
    "ray": "install it there: `pip install 'ray[client]=={}'`, and start Ray anew",
    "code": "install the same files on both",
}


def of_other_group(its: Hardware, wanted: Hardware | None) -> Refusal | None:
    """That hosts of a study have the `wanted` hardware, and this one has not."""
    if wanted is None or its.kind == wanted.kind:
        return None
    return Refusal(
        f"it is of another group: {difference(its, wanted)}",
        f"hosts like it make a study of their own: `--group {its.kind}`",
    )


def refusal(facts: HostFacts, *, offset_s: float, parcel_bytes: int) -> Refusal | None:
    """What is wrong with the host for a job of so many bytes; its clock is `offset_s` ahead."""
    if abs(offset_s) > _MOST_OFFSET_S:
        way = "ahead of" if offset_s > 0 else "behind"
        return Refusal(
            f"its clock is {abs(offset_s):.1f} s {way} the driver's",
            "set it by NTP there: `timedatectl set-ntp true`, or `chronyc makestep`",
        )
    needed = _COPIES * parcel_bytes + _ROOM_BYTES
    if facts.free_bytes < needed:
        return Refusal(
            f"it has {facts.free_bytes >> 20} MiB of disk left for temporary files, and "
            f"{needed >> 20} MiB are needed",
            "make room there, or start Ray there with TMPDIR on a larger disk",
        )
    return None
