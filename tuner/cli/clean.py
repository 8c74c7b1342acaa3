"""`tuner clean`: remove what tuners that were killed have left on this machine."""

from runners import docker
from runners.errors import EngineUnreachable
from tuner.cli.console import note, print_json, print_text
from tuner.cli.small_options import CleanOptions
from tuner.study import workspaces


def clean(options: CleanOptions) -> None:
    """Remove containers and folders, and say which."""
    folders = workspaces.remove_abandoned()
    containers: tuple[str, ...] = ()
    try:
        containers = docker.clean(everybodys=options.everybodys)
    except EngineUnreachable as error:
        note(f"no containers were looked for: {error}")
    if options.as_json:
        print_json({"folders": [str(each) for each in folders], "containers": list(containers)})
        return
    for folder in folders:
        print_text(f"removed folder {folder}")
    for container in containers:
        print_text(f"removed container {container}")
    if not folders and not containers:
        print_text("nothing was left behind")
