"""`tuner effects`: which parameters helped, by how much, and how sure that is."""

from rich.text import Text

from tuner.analysis import standings
from tuner.cli.console import note, print_blocks, print_json, print_text
from tuner.cli.study_options import EffectsFormat, EffectsOptions
from tuner.report import effects_text, findings, terminal
from tuner.store.storage import Storage


def effects(options: EffectsOptions) -> None:
    """Print what was found of each parameter."""
    with Storage(options.db) as storage:
        study = storage.study(options.study, brief=True)
    result = standings.standings(study)
    found = effects_text.of(study, result)
    if closest := findings.nearest(study, result):
        note(findings.missed(closest))
    effects_text.check(study, found)
    match EffectsFormat.JSON if options.as_json else options.form:
        case EffectsFormat.JSON:
            print_json(effects_text.study_effects_document(study, result, found))
        case EffectsFormat.CSV:
            print_text(effects_text.as_csv(found))
        case EffectsFormat.TABLE:
            print_blocks([terminal.all_effects(found)])
            print_blocks(map(Text, effects_text.remarks(result, found)))
