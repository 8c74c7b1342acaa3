"""Which hints hold for a stored study."""

from typing import Any

from tuner.analysis.effects import effects
from tuner.analysis.standings import standings
from tuner.hints import gathered, host, results
from tuner.hints.catalogue import catalogue
from tuner.hints.checking import Checked, check
from tuner.report import hints_text
from tuner.store.storage import Storage


def study_advice(storage: Storage, name: str) -> Checked:
    """What holds for the study called `name`.

    Raises:
        InputError: There is no such study.
    """
    brief = storage.study(name, brief=True)
    study = storage.in_full(brief, results.needed_trials(brief, standings(brief)))
    facts = gathered.study_facts(study, standings(study), host.detect())
    return check(catalogue(), facts, study.space, effects(study))


def study_advice_document(storage: Storage, name: str) -> dict[str, Any]:
    """The same as JSON content."""
    return hints_text.checked_document({"study": name}, study_advice(storage, name))
