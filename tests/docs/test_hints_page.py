"""docs/hints.md has every hint and every fact, as the catalogue has them."""

from pathlib import Path

import pytest

from tuner.hints.catalogue import catalogue
from tuner.report import hints_text

PAGE = Path(__file__).parents[2] / "docs" / "hints.md"


@pytest.mark.parametrize(
    ("made_from", "table"),
    [
        ("tuner/hints/catalogue", hints_text.markdown(catalogue())),
        ("tuner/hints/facts.py", hints_text.markdown_facts()),
    ],
)
def test_the_tables_are_the_catalogue(made_from: str, table: str) -> None:
    """What stands between the marks is what the catalogue is written as."""
    begin, end = (f"<!-- made from {made_from}: {mark} -->" for mark in ("begin", "end"))

    page = PAGE.read_text()
    assert page.partition(begin)[2].partition(end)[0].strip() == table
