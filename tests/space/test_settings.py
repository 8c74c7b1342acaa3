"""Where values go: a configuration sorted by kind, and kinds that a server does not have."""

import json
from dataclasses import replace

import pytest

from tests.spaces import choice
from tuner.errors import SpaceError
from tuner.space.document import space_document, stored_space
from tuner.space.expressions import Value
from tuner.space.settings import (
    SETTINGS,
    ConfigPath,
    EnvironmentVariables,
    FlagForm,
    LauncherArgument,
    ModelVariant,
    ServerFlag,
    ServerProperty,
    Setting,
    Settings,
    TemplateVariable,
)
from tuner.space.space import SearchSpace

SETS: dict[str, Setting] = {
    "a": ConfigPath("count", omit=0),
    "b": EnvironmentVariables(("X", "Y")),
    "c": ServerFlag("--c", omit="off"),
    "d": ServerProperty("d"),
    "e": LauncherArgument("--e"),
    "f": TemplateVariable("name"),
    "g": ModelVariant(),
}
SPACE = SearchSpace(
    "s", tuple(replace(choice(0, 1, name=n), sets=sets) for n, sets in SETS.items())
)


def test_sorted_by_kind() -> None:
    """Each value goes where its parameter says, under the server's own name for it."""
    values: dict[str, Value] = {
        "a": 2,
        "b": True,
        "c": "on",
        "d": 4,
        "e": False,
        "f": "x",
        "g": "half",
    }
    assert SPACE.settings(values) == Settings(
        config={"count": 2},
        environment=(("X", "true"), ("Y", "true")),
        flags=(("--c", "on"),),
        arguments=("--c=on",),
        properties={"d": 4},
        launcher=(("--e", False),),
        templates={"name": "x"},
        variant="half",
    )


def test_what_is_left_out() -> None:
    """At `omit` nothing is said; of a model's configuration the field is taken out."""
    said = SPACE.settings({"a": 0, "c": "off"})
    assert (said.config, said.flags, said.variant) == ({"count": None}, (), "")


@pytest.mark.parametrize(
    ("flag", "value", "arguments"),
    [
        (ServerFlag("--a"), True, ["--a=true"]),
        (ServerFlag("--a"), 1.5, ["--a=1.5"]),
        (ServerFlag("--a", form=FlagForm.SWITCH), True, ["--a"]),
        (ServerFlag("--a", form=FlagForm.SWITCH), False, []),
        (ServerFlag("--a/--no-a"), True, ["--a"]),
        (ServerFlag("--a/--no-a"), False, ["--no-a"]),
        (ServerFlag("/--no-a"), True, []),
        (ServerFlag("/--no-a"), False, ["--no-a"]),
        (ServerFlag("-XX:+A/-XX:-A"), False, ["-XX:-A"]),
        (ServerFlag("--a/b"), 1, ["--a/b=1"]),
        (ServerFlag("--a", form=FlagForm.WORDS), 2, ["--a", "2"]),
        (ServerFlag("--a", form=FlagForm.WORDS), "1 'b c'", ["--a", "1", "b c"]),
        (ServerFlag("--a", form=FlagForm.WORDS), "", []),
        (ServerFlag("--a", form=FlagForm.REPEAT), "1 'b c'", ["--a=1", "--a=b c"]),
        (ServerFlag("--a", form=FlagForm.REPEAT), "", []),
    ],
)
def test_forms_of_flags(flag: ServerFlag, value: Value, arguments: list[str]) -> None:
    """A flag has its value after `=`, after a blank, once for each word, or none at all."""
    space = SearchSpace("s", (replace(choice(value, name="a"), sets=flag),))
    assert list(space.settings({"a": value}).arguments) == arguments
    assert stored_space(json.loads(json.dumps(space_document(space)))) == space


def test_what_a_server_does_not_have() -> None:
    """The first parameter of another kind is named, with the kinds that there are."""
    SPACE.refuse_other_than(*SETTINGS, server="Any")
    with pytest.raises(SpaceError) as caught:
        SPACE.refuse_other_than("config", "flag", server="Triton")
    assert caught.value.message == "parameters.b.sets: Triton has no `environment`"
    assert caught.value.hint == "it is set by `config`, `flag`"
