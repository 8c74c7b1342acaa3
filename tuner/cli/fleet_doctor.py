"""`tuner fleet doctor`: whether the hosts of a fleet are fit for measuring."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from tuner.cli.console import print_blocks, print_json
from tuner.cli.doctor import check_lines
from tuner.cli.fleet import address
from tuner.cli.fleet_options import FleetDoctorOptions
from tuner.errors import TunerError
from tuner.fleet.inventory import FoundHost, inventory
from tuner.watch.host_checks import Check, checks_document


def fleet_doctor(options: FleetDoctorOptions) -> None:
    """Print what was found, host by host.

    Raises:
        TunerError: One of them is not fit, or there is none.
    """
    found = inventory(address(options.fleet), checks=True)
    checks = {host.name: tuple(checks_of(host, options.image or ())) for host in found}
    if options.as_json:
        print_json([_document(host, checks[host.name]) for host in found])
    else:
        for name, of_host in checks.items():
            print_blocks([Text(name, style="bold"), *map(check_lines, of_host)])
    wrong = [name for name, of_host in checks.items() if not all(each.fine for each in of_host)]
    if wrong:
        raise TunerError(
            f"not fit for measuring: {', '.join(wrong)}", hint="each finding says what to do"
        )


def checks_of(host: FoundHost, images: Sequence[str]) -> Iterator[Check]:
    """What a host must have in common with the driver, what it has, then its own checks."""
    facts, refusal = host.facts, host.refusal
    if refusal is not None:
        cost = "it takes part in no study"
        yield Check("host", refusal.why, fine=False, cost=cost, cure=refusal.cure)
    if facts is None:
        return
    versions = facts.versions
    yield Check(
        "versions",
        f"tuner {versions.tuner}, Ray {versions.ray}, Python {versions.python}, as the driver's",
    )
    yield Check("clock", f"within {abs(host.offset_s):.1f} s of the driver's")
    yield Check("servers", ", ".join(facts.servers) or "none installed")
    yield Check("Docker", facts.docker or "no engine answers")
    yield from (_image(image, facts.images) for image in images)
    yield from facts.checks


def _image(image: str, there: Sequence[str]) -> Check:
    tagged = image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
    return Check(
        "image",
        f"{image}: {'there' if tagged in there else 'not there'}",
        tagged in there,
        "a study with it does without this host",
        f"docker pull {image}, there; or `tuner optimize --pull`",
    )


def _document(host: FoundHost, checks: Sequence[Check]) -> dict[str, Any]:
    return {
        "host": host.name,
        "address": host.address,
        "group": host.facts.hardware.kind if host.facts else None,
        **checks_document(checks),
    }
