"""`tuner repository`: write the model repository that a model file is tuned in."""

from pathlib import Path
from typing import Annotated

import typer

from tuner.commands import options
from tuner.commands.console import print_json, print_text


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
    """Write the Triton model repository for a model file, to deploy a study's winner with."""
    from tuner.errors import ModelError
    from tuner.targets import triton_files
    from tuner.targets.base import ModelSource

    source = ModelSource(inputs=options.inputs(input_), contained=contained)
    model = triton_files.open_model(model_file, source)
    folder = output / model.name
    if folder.exists():
        raise ModelError(
            f"{folder}: is there already, and nothing is written over it",
            hint="choose another `--output FOLDER`",
        )
    model.stage(output)
    written = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    if as_json:
        print_json({"model": model.name, "files": written})
        return
    for path in written:
        print_text(path)
