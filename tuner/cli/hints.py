"""`tuner hints`: which advice holds for a study, for a model, or for this host."""

from pathlib import Path

from tuner.cli.advice import print_checked
from tuner.cli.console import print_json
from tuner.cli.hints_options import HintsOptions
from tuner.cli.values import check_meaning, check_needed
from tuner.hints import host
from tuner.hints.catalogue import catalogue
from tuner.hints.checking import Checked, check
from tuner.hints.facts import known
from tuner.hints.inspected import inspected
from tuner.hints.requests import data_facts
from tuner.report import hints_text
from tuner.report.study_advice import study_advice
from tuner.store.storage import Storage

_WITHOUT_STUDY = ("server", "model_repository", "model", "input_data")
_DEFAULT_SERVER = "triton"


def hints(options: HintsOptions) -> None:
    """Print the hints that hold, what is left to do first.

    Raises:
        InputError: There is no such study or model, or options of both were given.
    """
    if options.study is not None:
        choice = f"tuner hints {options.study}"
        check_meaning(options, _WITHOUT_STUDY, choice, hint="leave out the study, or that option")
        about, document = f"study {options.study}", {"study": options.study}
        with Storage(options.db) as storage:
            checked = study_advice(storage, options.study)
    else:
        check_needed(options, "db", "STUDY")
        about, document, checked = _without_study(options)
    if options.as_json:
        print_json(hints_text.checked_document(document, checked))
    else:
        print_checked(about, checked)


def _without_study(options: HintsOptions) -> tuple[str, dict[str, str], Checked]:
    """This host, with the model that the options name and the given requests."""
    here = host.detect()
    facts = {**host.host_facts(here), **host.environment_facts()}
    facts |= data_facts([Path(each) for each in options.input_data or ()])
    about, document = "this host", {}
    if options.server or options.model_repository or options.model:
        server = options.server or _DEFAULT_SERVER
        found = inspected(server, options.model_repository, options.model, here.hardware)
        about, document = f"model {found.name}", {"model": found.name}
        facts |= found.facts
    return about, document, check(catalogue(), known(facts))
