"""Where llama.cpp's server is: on PATH, in an image, or in a wheel."""

import shutil
import sys
from pathlib import Path

from tuner.errors import ServerMissingError
from tuner.targets import packages
from tuner.targets.base import Installation
from tuner.targets.llama_cpp import programs

PROGRAM = "llama-server"

IN_IMAGE = Path("/app", PROGRAM)
"""Where it is in the images of ghcr.io/ggml-org/llama.cpp, which have it not on PATH."""

_WHEEL = "xllamacpp"


def find_llama_server(*, contained: bool) -> Installation:
    """That of the image, the one on PATH, or else the one out of the wheel.

    Raises:
        ServerMissingError: There is none.
    """
    if contained:
        return Installation(IN_IMAGE)
    if on_path := shutil.which(PROGRAM):
        return Installation(Path(on_path))
    if packages.folder_of(_WHEEL) is None:
        raise ServerMissingError(
            f"llama.cpp is not installed: neither `{PROGRAM}` on PATH nor the wheel was found",
            hint="pip install 'serving-tuner[llama-cpp]'",
        )
    program = Path(programs.__path__[0], "server.py")
    # Without the folder of the program on its path, where a module could be taken for another.
    return Installation(Path(sys.executable), flags=("-P", str(program)))
