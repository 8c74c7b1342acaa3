"""The tables of docs/hints.md, as they are made from the catalogue."""

from collections.abc import Iterator, Sequence

from tuner.hints.catalogue import Hint
from tuner.hints.facts import NAMES


def markdown(hints: Sequence[Hint]) -> str:
    """The hints as docs/hints.md has them: a table for each theme."""
    themes = sorted({hint.theme for hint in hints})
    return "\n\n".join(_section(theme, [h for h in hints if h.theme == theme]) for theme in themes)


def markdown_facts() -> str:
    """The facts as docs/hints.md has them."""
    rows = [f"| `{name}` | {what} |" for name, what in NAMES.items()]
    return "\n".join(["| fact | what it is |", "| --- | --- |", *rows])


def _section(theme: str, hints: Sequence[Hint]) -> str:
    rows = [f"| {' | '.join(_cells(hint))} |" for hint in hints]
    head = ["| hint | when | advice | expected effect | source |", f"|{' --- |' * 5}"]
    return "\n".join([f"### {theme.capitalize()}", "", *head, *rows])


def _cells(hint: Hint) -> Iterator[str]:
    servers = f" ({', '.join(hint.servers)})" if hint.servers else ""
    yield f"**{hint.name}**, {hint.importance}{servers}"
    yield f"`{hint.condition}`"
    yield hint.advice
    yield hint.effect
    # Pages are seen from docs/.
    source = hint.source.removeprefix("docs/")
    yield f"[{source.rpartition('/')[2]}]({source}), {hint.checked}"
