"""Why a host of a fleet measures nothing more, in words for people."""

import math

from tuner.analysis.hosts import LARGEST_DIFFERENCE, HostSpeed, Speeds


def why_aside(found: Speeds, host: HostSpeed) -> str:
    """Of a host that is `aside` among those that were found."""
    if host.fails:
        return f"the server's defaults failed there {host.failures} times, and run elsewhere"
    change = f"{abs(math.expm1(host.off)):.0%} {'slower' if host.off < 0 else 'faster'}"
    return (
        f"it runs the server's defaults {change} than {found.beside(host.name)} "
        f"({host.present} canaries): by more than {LARGEST_DIFFERENCE:.0%} it is another "
        "machine, on which another configuration may be the best"
    ).replace("%", " %")
