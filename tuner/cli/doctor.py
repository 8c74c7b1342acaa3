"""`tuner doctor`: whether this machine is fit for measuring."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from tuner.cli.console import print_json
from tuner.cli.small_options import DoctorOptions
from tuner.errors import TunerError
from tuner.watch.host_checks import Check, checks_document, host_checks


def doctor(options: DoctorOptions) -> None:
    """Print what was found as it is found.

    Raises:
        TunerError: It is not fit.
    """
    out = Console(emoji=False)
    found: list[Check] = []
    for check in host_checks():
        found.append(check)
        if not options.as_json:
            out.print(check_lines(check), crop=False)
    wrong = [check.name for check in found if not check.fine]
    if options.as_json:
        print_json(checks_document(found))
    if wrong:
        raise TunerError(f"this machine disturbs measurements: {', '.join(wrong)}")


def check_lines(check: Check) -> Group:
    """What was found and, where it is not fine, what it costs and what to change."""
    first = Text(f"{'ok  ' if check.fine else 'bad '} {check.name}: {check.found}")
    if check.fine:
        return Group(first)
    more = (f"costs: {check.cost}", f"change: {check.cure}")
    return Group(first, *(Padding(Text(each), (0, 0, 0, 5)) for each in more))
