"""`tuner hardware`: what this host offers, and what follows from that."""

from tuner.cli.advice import print_checked
from tuner.cli.console import print_json, print_text
from tuner.cli.hints_options import HardwareOptions
from tuner.hints import host
from tuner.hints.catalogue import catalogue
from tuner.hints.checking import check
from tuner.hints.facts import known
from tuner.report import hints_text


def hardware(options: HardwareOptions) -> None:
    """Print what was found, and the hints that ask about the host alone."""
    here = host.detect()
    facts = known({**host.host_facts(here), **host.environment_facts()})
    checked = check([hint for hint in catalogue() if not hint.unknown(facts)], facts)
    if options.as_json:
        print_json(hints_text.checked_document(hints_text.host_document(here), checked))
        return
    for name, found in hints_text.host_lines(here):
        print_text(f"{name}: {found}")
    print_text("")
    print_checked("what follows from that", checked)
