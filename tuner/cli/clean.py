"""`tuner clean`: remove what tuners that were killed have left on this machine."""

from runners import docker
from runners.errors import EngineUnreachable
from tuner.cli.console import note, print_json, print_text
from tuner.cli.small_options import CleanOptions
from tuner.study import workspaces


def clean(options: CleanOptions) -> None:
    """Remove containers and folders, and say which; and which could not be."""
    folders = workspaces.remove_abandoned()
    left = workspaces.abandoned()
    containers: tuple[str, ...] = ()
    looked_for = "nothing was left behind"
    try:
        containers = docker.clean(everybodys=options.everybodys)
    except EngineUnreachable as error:
        note(f"no containers were looked for: {error}")
        looked_for = "no folder was left behind"
    for folder in left:
        note(f"{folder} could not be removed: {workspaces.REMOVE_IT}")
    if options.as_json:
        print_json(
            {
                "folders": [str(each) for each in folders],
                "containers": list(containers),
                "left": [str(each) for each in left],
            }
        )
        return
    for folder in folders:
        print_text(f"removed folder {folder}")
    for container in containers:
        print_text(f"removed container {container}")
    if not folders and not containers and not left:
        print_text(looked_for)
