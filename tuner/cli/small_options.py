"""The options of the commands that need no study: `repository`, `clean`, `doctor`, `spaces`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import AsJson, Inputs

_NameOrFile = Annotated[str, typer.Argument(help="Name of a built-in space, or a file.")]


@dataclass(frozen=True, kw_only=True)
class RepositoryOptions:
    """Write the Triton model repository for a model file, to deploy a study's winner with."""

    model_file: Annotated[Path, typer.Argument(help="An ONNX file, or a TorchScript file.")]
    output: Annotated[Path, typer.Option(help="Folder of the repository.")]
    input: Inputs = None
    contained: Annotated[
        bool,
        typer.Option(
            "--container", help="For a Triton with the backends of its image, not the wheel's."
        ),
    ] = False
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """Remove containers and folders of tuners that are no more; studies are kept."""

    everybodys: Annotated[
        bool,
        typer.Option("--all", help="All containers of tuners, also of those that still run."),
    ] = False
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Say whether this machine is fit for measuring, what is not, and what to change.

    Exit status 1 if something disturbs measurements.
    """

    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class ListSpacesOptions:
    """List the built-in spaces."""

    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class ShowSpaceOptions:
    """Show a space with its bounds on this machine."""

    space: _NameOrFile
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class CheckSpaceOptions:
    """Check a space file; exit status 2 if it cannot be used."""

    file: _NameOrFile
    as_json: AsJson = False


@dataclass(frozen=True, kw_only=True)
class SpaceTableOptions:
    """Print the built-in spaces in Markdown, with their bounds as they are written."""

    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Built-in spaces; all by default."),
    ] = None
    as_json: AsJson = False
