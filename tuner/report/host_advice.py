"""Which hints hold for this host alone."""

from typing import Any

from tuner.hints import host
from tuner.hints.catalogue import catalogue
from tuner.hints.checking import Checked, check
from tuner.hints.facts import known
from tuner.hints.host import Host
from tuner.report import hints_text


def host_advice(here: Host) -> Checked:
    """What holds for a host, of the hints that ask about the host alone."""
    facts = known({**host.host_facts(here), **host.environment_facts()})
    return check([hint for hint in catalogue() if not hint.unknown(facts)], facts)


def host_advice_document(here: Host) -> dict[str, Any]:
    """What a host offers and what follows from it, as JSON content."""
    return hints_text.checked_document(hints_text.host_document(here), host_advice(here))
