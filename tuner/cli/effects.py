"""`tuner effects`: which parameters helped, by how much, and how sure that is."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.options import DATABASE, AsJson, Database, StudyArgument


class EffectsFormat(StrEnum):
    """How `effects` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def effects(
    study: StudyArgument = None,
    *,
    form: Annotated[
        EffectsFormat, typer.Option("--format", help="table, csv or json.")
    ] = EffectsFormat.TABLE,
    db: Database = DATABASE,
    as_json: AsJson = False,
) -> None:
    """Print which parameters helped or hurt the capacity, by how much, and how sure that is.

    Each value is compared with the default, all else equal, in the average of what was tried.
    """
    from tuner.analysis import standings
    from tuner.report import effects_text, terminal
    from tuner.store.storage import Storage

    with Storage(db) as storage:
        record = storage.study(study)
    result = standings.standings(record)
    found = effects_text.of(record, result)
    effects_text.check(record, found)
    match EffectsFormat.JSON if as_json else form:
        case EffectsFormat.JSON:
            print_json({"study": record.name, **effects_text.effects_document(found, result)})
        case EffectsFormat.CSV:
            print_text(effects_text.as_csv(found))
        case EffectsFormat.TABLE:
            print_blocks([terminal.all_effects(found)])
            print_blocks(map(Text, effects_text.remarks(result, found)))
