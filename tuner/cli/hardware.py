"""`tuner hardware`: what this host offers, and what follows from that."""

from tuner.cli.advice import print_checked
from tuner.cli.console import print_json, print_text
from tuner.cli.hints_options import HardwareOptions
from tuner.hints import host
from tuner.report import hints_text
from tuner.report.host_advice import host_advice, host_advice_document


def hardware(options: HardwareOptions) -> None:
    """Print what was found, and the hints that ask about the host alone."""
    here = host.detect()
    if options.as_json:
        print_json(host_advice_document(here))
        return
    for name, found in hints_text.host_lines(here):
        print_text(f"{name}: {found}")
    print_text("")
    print_checked("what follows from that", host_advice(here))
