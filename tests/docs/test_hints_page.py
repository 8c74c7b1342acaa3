"""docs/hints.md has every hint and every fact, as the catalogue has them."""

from pathlib import Path

import pytest

from tests.docs import hint_tables
from tuner.hints.catalogue import catalogue

PAGE = Path(__file__).parents[2] / "docs" / "hints.md"


@pytest.mark.parametrize(
    ("made_from", "table"),
    [
        ("tuner/hints/catalogue", hint_tables.markdown(catalogue())),
        ("tuner/hints/facts.py", hint_tables.markdown_facts()),
    ],
)
def test_the_tables_are_the_catalogue(made_from: str, table: str) -> None:
    """What stands between the marks is what the catalogue is written as."""
    begin, end = (f"<!-- made from {made_from}: {mark} -->" for mark in ("begin", "end"))

    page = PAGE.read_text()
    assert page.partition(begin)[2].partition(end)[0].strip() == table
