"""`tuner repository`: write the model repository that a model file is tuned in."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli import options
from tuner.cli.console import print_json, print_text

if TYPE_CHECKING:
    from tuner.targets.triton.one_file import FileModel


def repository(
    model_file: Annotated[Path, typer.Argument(help="An ONNX file, or a TorchScript file.")],
    *,
    output: Annotated[Path, typer.Option("--output", help="Folder of the repository.")],
    input_: options.Inputs = None,
    contained: Annotated[
        bool,
        typer.Option(
            "--container", help="For a Triton with the backends of its image, not the wheel's."
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write the Triton model repository for a model file, to deploy a study's winner with.

    Raises:
        InputError: The file cannot be used.
        ModelError: The folder is there already, or cannot be written.
    """
    from tuner.errors import ModelError
    from tuner.targets.base import ModelSource
    from tuner.targets.triton import one_file as triton_files

    source = ModelSource(inputs=options.inputs(input_), contained=contained)
    model = triton_files.open_file(model_file, source)
    folder = output / model.name
    if folder.exists():
        raise ModelError(
            f"{folder}: is there already, and nothing is written over it",
            hint="choose another `--output FOLDER`",
        )
    _write(model, output)
    written = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    if as_json:
        print_json({"model": model.name, "files": written})
        return
    for path in written:
        print_text(path)


def _write(model: "FileModel", output: Path) -> None:
    """All of it or nothing: an interrupt leaves no half of a repository."""
    from tuner.errors import ModelError

    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tuner-", dir=output) as unfinished:
            model.stage(Path(unfinished))
            Path(unfinished, model.name).rename(output / model.name)
    except OSError as error:
        raise ModelError(
            f"{output}: cannot be written: {error.strerror}",
            hint="choose another `--output FOLDER`",
        ) from None
