"""The options of hosts that measure a study, and of the commands about them."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from tuner.cli.options import DATABASE, AsJson, Database, study_names

# Of a study that is measured again here, or whose winner serves here.
OF_FLEET = ("fleet", "group")

_Address = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where the fleet is: auto, or ray://HOST:10001.")
]


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """Which hosts measure the study."""

    title: ClassVar = "Fleet"
    fleet: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Ray cluster whose hosts measure: auto (the one here) or ray://HOST:10001.",
            show_default="on this machine",
        ),
    ] = ""
    group: Annotated[
        str,
        typer.Option(
            help="Its hosts of one hardware: the name of the group, or of a host in it.",
            show_default="the largest",
        ),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class FleetStatusOptions:
    """Show the hosts of a fleet: their group, their speed, what runs there, their last error.

    Of a study that is named, its hosts are shown without asking the fleet.
    """

    study: Annotated[
        str | None,
        typer.Argument(help="Name of a study on a fleet.", autocompletion=study_names),
    ] = None
    fleet: _Address = "auto"
    db: Database = DATABASE
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class FleetDoctorOptions:
    """Say of each host of a fleet whether it is fit for measuring, what is not, and what to do.

    Exit status 1 if something is not.
    """

    fleet: _Address = "auto"
    image: Annotated[
        list[str] | None, typer.Option(help="Image that each host is to have; several times.")
    ] = None
    as_json: AsJson = False
