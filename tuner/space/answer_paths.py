"""Places in a server's answer: a tensor by its name, or what is somewhere in its JSON.

`answer.choices[*].text` is the text of each choice. `$` stands for `answer`, as an answer over
plain HTTP is called; JSON in a tensor goes by the tensor's name. What is below a place belongs to
it.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

ROOT = "answer"
"""What the whole answer over plain HTTP is called."""

_INDEX = re.compile(r"\[\d+\]")
_LAST_INDEX = re.compile(r"(.*)\[\d+\].*", re.DOTALL)


def is_at(name: str, places: Iterable[str]) -> bool:
    """Whether the output of that name is at one of the places, or below."""
    return any(_pattern(place).match(name) for place in places)


@lru_cache(maxsize=1024)
def _pattern(place: str) -> re.Pattern[str]:
    whole = ROOT + place[1:] if place.startswith("$") else place
    return re.compile(re.escape(whole).replace(r"\[\*\]", r"\[\d+\]") + r"(?=[.\[]|$)")


def general(name: str) -> str:
    """The same place in every element of its lists."""
    return _INDEX.sub("[*]", name)


def list_of(name: str) -> str:
    """All elements of the innermost list that the output is in; itself where it is in none."""
    found = _LAST_INDEX.fullmatch(name)
    return f"{found[1]}[*]" if found else name


def fewest(places: Iterable[str]) -> tuple[str, ...]:
    """Without those that are below another one, in their order."""
    given: Collection[str] = dict.fromkeys(places)
    return tuple(
        each
        for each in given
        if not is_at(each.replace("[*]", "[0]"), [other for other in given if other != each])
    )
