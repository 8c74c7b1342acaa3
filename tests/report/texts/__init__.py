"""Texts that reports must give word for word, a file for each test."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def check(name: str, said: Mapping[str, Iterable[str]]) -> None:
    """Compare sentences, each under the title of its case, with the whole of the file `name`."""
    text = "\n\n".join(
        "\n".join([f"## {title}", *(line.rstrip() for line in lines)])
        for title, lines in said.items()
    )
    assert f"{text.rstrip()}\n" == Path(__file__).with_name(name).read_text(encoding="utf-8")
