"""The catalogue: each hint fires where it should, is silent elsewhere, and names its source."""

import re
from pathlib import Path

import pytest

from tests.hints.table import TABLE
from tuner.errors import SpaceError
from tuner.hints.catalogue import DOCUMENTED, FOLDER, Hint, catalogue
from tuner.hints.facts import NAMES, Facts
from tuner.hints.settings import ROLES
from tuner.targets.catalog import SERVERS

ROOT = Path(__file__).parents[2]
HINTS = {hint.name: hint for hint in catalogue()}
MEASURED = "measured here: "


@pytest.mark.parametrize("name", TABLE)
def test_fires(name: str) -> None:
    """Where its condition holds, and the reasons that it gives are the facts that it names."""
    facts, _ = TABLE[name]

    assert HINTS[name].fires(facts)
    assert HINTS[name].why(facts).keys() == HINTS[name].expression.names


@pytest.mark.parametrize("name", TABLE)
def test_is_silent(name: str) -> None:
    """Where one fact is another, and where one of them is unknown, whatever the others are."""
    facts, other = TABLE[name]

    assert other.keys() <= facts.keys()
    assert not HINTS[name].fires({**facts, **other})
    for missing in facts:
        known = {fact: value for fact, value in facts.items() if fact != missing}
        assert HINTS[name].unknown(known) == (missing,)
        assert not HINTS[name].fires(known)


@pytest.mark.parametrize("hint", [each for each in HINTS.values() if each.servers])
def test_is_silent_about_other_servers(hint: Hint) -> None:
    """A hint about one server says nothing of another one."""
    facts, _ = TABLE[hint.name]

    assert not hint.fires({**facts, "server.kind": "command"})


def test_one_unknown_fact_is_enough_for_silence() -> None:
    """An `or` whose other side holds does not help: nothing is concluded from half of them."""
    hint = HINTS["dynamic-quantization"]

    facts: Facts = {"host.vnni": True, "host.gpus": 0, "model.backend": "pytorch"}
    assert hint.fires({**facts, "host.amx": False})
    assert not hint.fires(facts)


def test_the_table_has_every_hint() -> None:
    """No hint is untested, and the catalogue is as large as it is said to be."""
    assert TABLE.keys() == HINTS.keys()
    assert len(HINTS) == len(catalogue()) >= 28


def test_facts_exist_and_are_used() -> None:
    """Each fact of a condition is one that somebody makes, and each that is made is asked for."""
    asked = frozenset().union(*(hint.needs for hint in HINTS.values()))

    assert asked == NAMES.keys()


@pytest.mark.parametrize("hint", HINTS.values(), ids=lambda hint: hint.name)
def test_says_where_it_is_from(hint: Hint) -> None:
    """A URL or a page of docs/; `measured here` names the page that shows it."""
    is_url = re.fullmatch(r"https://[\w.-]+/\S+", hint.source)

    assert is_url or (ROOT / hint.source).is_file()
    if hint.checked != DOCUMENTED:
        assert hint.checked.startswith(MEASURED)
        assert (ROOT / hint.checked.removeprefix(MEASURED)).is_file()


@pytest.mark.parametrize("hint", HINTS.values(), ids=lambda hint: hint.name)
def test_is_well_formed(hint: Hint) -> None:
    """Names are of lower-case words, servers and settings are known, and texts are whole."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", hint.name)
    assert set(hint.servers) <= SERVERS.keys()
    assert hint.setting in ("", *ROLES)
    assert hint.advice.endswith(".")
    assert hint.effect


def test_the_most_important_come_first() -> None:
    """In the order that reports have."""
    order = ["high", "medium", "low"]
    found = [order.index(hint.importance) for hint in catalogue()]

    assert found == sorted(found)


def test_conditions_are_of_the_language_of_spaces(tmp_path: Path) -> None:
    """Nothing else is let in: what search spaces refuse, a hint cannot ask."""
    text = (FOLDER / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace("result.gain < 1.05", "open('/etc/passwd')"))
    hint = next(each for each in catalogue(tmp_path) if each.name == "nothing-gained")

    with pytest.raises(SpaceError, match="which expressions do not have"):
        hint.fires({"result.gain": 1.0})
