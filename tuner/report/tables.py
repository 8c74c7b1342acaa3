"""Tables of search spaces and plans for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tuner.report import formats
from tuner.report.columns import folded_table
from tuner.space.settings import ModelVariant


def space_tables(content: Mapping[str, Any]) -> list[RenderableType]:
    """What may vary, with the bounds of a machine, and the rules between the parameters."""
    titles = ("parameter", "values", "default", "sets", "by")
    parameters = content["parameters"]
    rows = [
        (
            each["name"],
            each["domain"],
            formats.value(each["default"]),
            _sets(each["sets"]),
            "reload" if each["reload"] else "restart",
        )
        for each in parameters
    ]
    lines = [f"{p['name']} is there only when {p['when']}" for p in parameters if p["when"]]
    lines += [f"proof of {p['name']}: {p['proof']}" for p in parameters if p["proof"]]
    lines += [f"rule: {each['rule']} ({each['because']})" for each in content["rules"]]
    return [folded_table(rows, *titles, whole="sets"), *map(Text, lines)]


def plan_lines(content: Mapping[str, Any], size: str) -> list[RenderableType]:
    """What `optimize` would do, in sentences."""
    invalid = ""
    if content["valid_configurations"] is not None:
        left_out = content["assignments"] - content["valid_configurations"]
        invalid = f"; {left_out:,} combinations are left out by conditions and rules"
    withheld = ", ".join(content["environment_withheld"])
    kept = [f"not handed on to the server, as parameters set them: {withheld}"] if withheld else []
    return [
        Text(line)
        for line in (
            f"model {content['model']}, latency budget {content['latency_budget']}",
            f"{size} valid configurations{invalid}",
            (
                f"the baseline and up to {content['trials'] - 1} more trials, about "
                f"{formats.duration(content['seconds_per_trial'])} of measuring each, then "
                f"{content['finals']} trials on fresh starts"
            ),
            f"done after about {formats.duration(content['seconds'])} at most",
            *kept,
            content["too_short"],
        )
        if line
    ]


def _sets(sets: Mapping[str, str]) -> str:
    if ModelVariant.kind in sets:
        return "the model"
    form = f" ({sets['form']})" if "form" in sets else ""
    [names] = [names for kind, names in sets.items() if kind != "form"]
    return names.replace(", ", "\n") + form
