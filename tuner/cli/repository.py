"""`tuner repository`: write the model repository that a model file is tuned in."""

import tempfile
from pathlib import Path

from tuner.cli.console import print_json, print_text
from tuner.cli.small_options import RepositoryOptions
from tuner.cli.values import inputs
from tuner.errors import ModelError
from tuner.targets.base import ModelSource
from tuner.targets.triton import one_file
from tuner.targets.triton.one_file import FileModel


def repository(options: RepositoryOptions) -> None:
    """Write it into a folder that is not there yet.

    Raises:
        InputError: The file cannot be used.
        ModelError: The folder is there already, or cannot be written.
    """
    source = ModelSource(inputs=inputs(options.input), contained=options.contained)
    model = one_file.open_file(options.model_file, source)
    folder = options.output / model.name
    if folder.exists():
        raise ModelError(
            f"{folder}: is there already, and nothing is written over it",
            hint="choose another `--output FOLDER`",
        )
    _write(model, options.output)
    written = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    if options.as_json:
        print_json({"model": model.name, "files": written})
        return
    for path in written:
        print_text(path)


def _write(model: FileModel, output: Path) -> None:
    """All of it or nothing: an interrupt leaves no half of a repository."""
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
