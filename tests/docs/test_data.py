"""What docs/data.md says of tables and columns is what the code has."""

import re
from pathlib import Path

import pytest

from tests.docs.test_docs import ROOT
from tests.report import studies
from tests.store.test_storage import stored
from tuner.report.study_data import load_study
from tuner.report.study_tables import COLUMNS, StudyTable
from tuner.store.schema import metadata

PAGE = (ROOT / "docs" / "data.md").read_text()
ROW = re.compile(r"^\| `([\w.]+)` \| (.*) \|$", re.MULTILINE)


def rows(title: str) -> dict[str, str]:
    """What stands of each column below a heading."""
    (section,) = re.findall(
        rf"^### {title}\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL
    )
    return dict(ROW.findall(section))


@pytest.mark.parametrize("table", StudyTable)
def test_tables_of_a_study(table: StudyTable) -> None:
    """Every column of an export, in order, with its type, its unit and its meaning."""
    assert list(rows(table.value).items()) == [
        (each.name, f"{each.dtype} | {each.unit or '-'} | {each.meaning}")
        for each in COLUMNS[table]
    ]


@pytest.mark.parametrize("table", metadata.tables)
def test_tables_of_the_database(table: str) -> None:
    """Every column of our tables, with its unit."""
    found = rows(table)

    assert list(found) == [column.name for column in metadata.tables[table].columns]
    for name, said in found.items():
        unit = said.partition(" | ")[0]
        if name.endswith("_s") and not name.endswith("per_s"):
            assert unit.startswith("s"), name
        if name.endswith(("_at", "_bytes")):
            assert unit in ("UTC", "bytes"), name


def test_facts_of_a_study(tmp_path: Path) -> None:
    """Every key of the dictionary is named."""
    database = stored(tmp_path / "studies.db", studies.night())

    found = load_study(str(database)).study

    section = PAGE.partition("### study\n")[2].partition("\n## ")[0]
    assert [key for key in found if f"`{key}`" not in section] == []
