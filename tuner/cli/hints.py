"""`tuner hints`: which advice holds for a study, for a model, or for this host."""

from dataclasses import fields
from pathlib import Path

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from tuner.analysis import standings
from tuner.analysis.effects import effects
from tuner.cli.console import print_blocks, print_json, print_text
from tuner.cli.hints_options import HintsOptions
from tuner.cli.optimize_options import ModelOptions
from tuner.cli.values import check_meaning
from tuner.hints import gathered, host, results
from tuner.hints.catalogue import catalogue
from tuner.hints.checking import Advice, Checked, check
from tuner.hints.inspected import inspected
from tuner.hints.requests import data_facts
from tuner.report import hints_text
from tuner.store.storage import Storage

_OF_MODELS = {each.name for each in fields(ModelOptions)} | {"input_data"}
_TRITON = "triton"


def hints(options: HintsOptions) -> None:
    """Print the hints that hold, what is left to do first.

    Raises:
        InputError: There is no such study or model, or options of both were given.
    """
    if options.study is not None:
        check_meaning(options, _OF_MODELS, "a study", hint="leave out the study, or that option")
        about, checked = f"study {options.study}", _of_study(options.study, options.db)
        document = {"study": options.study}
    elif options.server or options.model_repository or options.model:
        name, checked = _of_model(options)
        about, document = f"model {name}", {"model": name}
    else:
        about, document, checked = "this host", {}, _of_host(options)
    if options.as_json:
        print_json(hints_text.checked_document(document, checked))
    else:
        print_checked(about, checked)


def print_checked(about: str, checked: Checked) -> None:
    """The list, or a line that says that it is empty."""
    if not checked.advice:
        print_text(hints_text.nothing(about, checked))
        return
    print_blocks([Text(hints_text.title(about, checked)), *map(_block, checked.advice)])


def _block(advice: Advice) -> Group:
    said = (
        Padding(Text(f"{word}: {text}"), (0, 0, 0, 2)) for word, text in hints_text.lines(advice)
    )
    return Group(Text(f"\n{hints_text.heading(advice)}", style="bold"), *said)


def _of_study(name: str, database: str) -> Checked:
    with Storage(database) as storage:
        brief = storage.study(name, brief=True)
        result = standings.standings(brief)
        study = storage.in_full(brief, results.needed_trials(brief, result))
    result = standings.standings(study)
    facts = gathered.study_facts(study, result, host.detect())
    return check(catalogue(), facts, study.space, effects(study))


def _of_model(options: HintsOptions) -> tuple[str, Checked]:
    here = host.detect()
    found = inspected(
        options.server or _TRITON, options.model_repository, options.model, here.hardware
    )
    facts = {
        **host.host_facts(here),
        **host.environment_facts(),
        **found.facts,
        **data_facts([Path(each) for each in options.input_data or ()]),
    }
    return found.name, check(catalogue(), gathered.known(facts))


def _of_host(options: HintsOptions) -> Checked:
    facts = {
        **host.host_facts(host.detect()),
        **host.environment_facts(),
        **data_facts([Path(each) for each in options.input_data or ()]),
    }
    return check(catalogue(), gathered.known(facts))
