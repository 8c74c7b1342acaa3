"""Places in a server's answer: a tensor by its name, or what is somewhere in its JSON.

`answer.choices[*].text` is the text of each choice. `$` stands for `answer`, as an answer over
plain HTTP is called; JSON in a tensor goes by the tensor's name. What is below a place belongs to
it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

ROOT = "answer"
"""What the whole answer over plain HTTP is called."""

# What ends a key in a name.
_KEY_END = re.compile(r"[.\[]")
_INDEX = re.compile(r"\[\d+\]")
_LAST_INDEX = re.compile(r"(.*)\[\d+\].*", re.DOTALL)


def is_at(name: str, places: Iterable[str]) -> bool:
    """Whether the output of that name is at one of the places, or below."""
    plain, patterns = _sorted(tuple(places))
    if any(pattern.match(name) for pattern in patterns):
        return True
    return name in plain or any(name[: end.start()] in plain for end in _KEY_END.finditer(name))


@lru_cache(maxsize=16)
def _sorted(places: tuple[str, ...]) -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """Places in full, and patterns of those that are in every element of a list."""
    whole = [ROOT + place[1:] if place.startswith("$") else place for place in places]
    plain = frozenset(place for place in whole if "[*]" not in place)
    return plain, tuple(_pattern(place) for place in whole if place not in plain)


@lru_cache(maxsize=1024)
def _pattern(place: str) -> re.Pattern[str]:
    return re.compile(re.escape(place).replace(r"\[\*\]", r"\[\d+\]") + r"(?=[.\[]|$)")


def general(name: str) -> str:
    """The same place in every element of its lists."""
    return _INDEX.sub("[*]", name)


def list_of(name: str) -> str:
    """All elements of the innermost list that the output is in; itself where it is in none."""
    found = _LAST_INDEX.fullmatch(name)
    return f"{found[1]}[*]" if found else name


def fewest(places: Iterable[str]) -> tuple[str, ...]:
    """Without those that are below another one, in their order."""
    given = tuple(dict.fromkeys(places))
    kept = {place for place in given if not _is_below(place, given)}
    return tuple(place for place in given if place in kept)


def _is_below(place: str, places: tuple[str, ...]) -> bool:
    ends = _KEY_END.finditer(place)
    return any(is_at(place[: end.start()].replace("[*]", "[0]"), places) for end in ends)


def keys(place: str, names: Iterable[str]) -> frozenset[str]:
    """Those of the object at `place`, in which the outputs of these names are."""
    start = f"{place}."
    below = (name[len(start) :] for name in names if name.startswith(start))
    return frozenset(_KEY_END.split(each, 1)[0] for each in below)
