"""`tuner clean`: remove what tuners that were killed have left on this machine."""

from typing import Annotated

import typer

from tuner.cli.console import note, print_json, print_text
from tuner.cli.options import AsJson


def clean(
    *,
    everybodys: Annotated[
        bool,
        typer.Option("--all", help="All containers of tuners, also of those that still run."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove containers and folders of tuners that are no more; studies are kept."""
    from runners import docker
    from runners.errors import EngineUnreachable
    from tuner.study import workspaces

    folders = workspaces.remove_abandoned()
    containers: tuple[str, ...] = ()
    try:
        containers = docker.clean(everybodys=everybodys)
    except EngineUnreachable as error:
        note(f"no containers were looked for: {error}")
    if as_json:
        print_json({"folders": [str(each) for each in folders], "containers": list(containers)})
        return
    for folder in folders:
        print_text(f"removed folder {folder}")
    for container in containers:
        print_text(f"removed container {container}")
    if not folders and not containers:
        print_text("nothing was left behind")
