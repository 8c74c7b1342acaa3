"""Where Triton's program is on this machine, and what it needs around it to start.

The wheel `nvidia-pytriton` holds the real server with the Python backend, but not in the layout
that the server expects: the backend's stub is kept per Python version, and libraries lie beside.
The stub embeds Python in isolated mode: it ignores PYTHONPATH, and takes the environment that the
first `python3` on PATH belongs to.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tuner.errors import ServerMissingError
from tuner.targets import packages
from tuner.targets.base import Installation

# For the program to list its flags, in seconds.
_HELP_TIMEOUT_S = 20.0
_PYTHON = sysconfig.get_python_version()
# Of the wheel.
_PACKAGE = "pytriton"
_FLAG = re.compile(r"^\s*(--[\w-]+)", re.MULTILINE)
# Where the shared library of this Python may be.
_LIBRARY_FOLDERS = (
    sysconfig.get_config_var("LIBDIR"),
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
)


def find_triton(workspace: Path) -> Installation:
    """The `tritonserver` on PATH, or else the one of the wheel, laid out in `workspace`.

    Raises:
        ServerMissingError: There is neither, or the wheel's cannot run under this Python.
    """
    if on_path := shutil.which("tritonserver"):
        return Installation(Path(on_path))
    package = packages.folder_of(_PACKAGE)
    if package is None:
        raise ServerMissingError(
            "Triton is not installed: neither `tritonserver` on PATH nor the wheel was found",
            hint="pip install 'serving-tuner[triton]'",
        )
    return _from_wheel(package, workspace)


@dataclass(frozen=True)
class SharedLibrary:
    """Triton as a library, and what its process needs around it.

    `backends` and `caches` are folders; None: it has its own.
    """

    path: Path
    backends: Path | None = None
    caches: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def find_library(workspace: Path, folder: Path | None = None) -> SharedLibrary:
    """That of the Triton in `folder`, or of the one that `find_triton` finds.

    Raises:
        ServerMissingError: There is none, or the wheel's cannot run under this Python.
    """
    if folder is None and (on_path := shutil.which("tritonserver")):
        folder = Path(on_path).resolve().parents[1]
    if folder is not None:
        return _library_in(folder)
    installation = find_triton(workspace)
    server = installation.executable.parents[1]
    [path] = _libraries(server.parent).glob("libtritonserver-*.so")
    environment = installation.environment
    return SharedLibrary(path, workspace / "backends", server / "caches", environment)


def _library_in(folder: Path) -> SharedLibrary:
    path = folder / "lib" / "libtritonserver.so"
    if not path.exists():
        raise ServerMissingError(
            f"`{folder}` is no folder of a Triton: {path.name} is not in its `lib`",
            hint="name the folder, such as /opt/tritonserver, with `--triton-server-directory`",
        )
    return SharedLibrary(path, _there(folder / "backends"), _there(folder / "caches"))


def _there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def options() -> frozenset[str]:
    """The flags of the installed Triton, such as `--http-thread-count`; none if it cannot tell."""
    if on_path := shutil.which("tritonserver"):
        return _options(Path(on_path), os.environ.get("LD_LIBRARY_PATH", ""))
    package = packages.folder_of(_PACKAGE)
    if package is None:
        return frozenset()
    return _options(package / "tritonserver/bin/tritonserver", str(_libraries(package)))


@cache
def _options(executable: Path, libraries: str) -> frozenset[str]:
    """From `--help`, which it answers on stderr."""
    try:
        shown = subprocess.run(
            [executable, "--help"],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_HELP_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(_FLAG.findall(shown.stdout + shown.stderr))


def _libraries(package: Path) -> Path:
    return package.parent / "nvidia_pytriton.libs"


def _from_wheel(package: Path, workspace: Path) -> Installation:
    server = package / "tritonserver"
    backends = workspace / "backends"
    python_backend = backends / "python"
    python_backend.mkdir(parents=True, exist_ok=True)
    stub = server / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"
    if not stub.exists():
        raise ServerMissingError(
            f"the Triton of the wheel has no Python backend for Python {_PYTHON}",
            hint=f"it has one for Python {_names(stub.parents[1]) or '(none)'}",
        )
    for source in (*(server / "backends" / "python").glob("*.*"), stub):
        link = python_backend / source.name
        if not link.exists():
            link.symlink_to(source)
    libraries = [_libraries(package), _libpython().parent]
    return Installation(
        executable=server / "bin" / "tritonserver",
        flags=(f"--backend-directory={backends}", f"--cache-directory={server / 'caches'}"),
        environment={
            "LD_LIBRARY_PATH": os.pathsep.join(
                filter(None, [*map(str, libraries), os.environ.get("LD_LIBRARY_PATH")])
            ),
            # The model's own imports must come from here: a numpy that the wheel was not made for
            # (2 instead of 1) gives the model wrong inputs, and its clients empty outputs.
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
            ),
        },
    )


def _names(folder: Path) -> str:
    """Python versions in their order: 3.9 before 3.10."""
    return ", ".join(sorted((each.name for each in folder.glob("3.*")), key=lambda n: (len(n), n)))


def _libpython() -> Path:
    """The shared library of this Python: the backend's stub is linked to it."""
    name = f"libpython{_PYTHON}.so.1.0"
    for folder in _LIBRARY_FOLDERS:
        if folder and (library := Path(folder) / name).exists():
            return library
    raise ServerMissingError(
        f"Triton's Python backend needs {name}, which this Python does not have",
        hint=f"on Debian and Ubuntu: apt install libpython{_PYTHON}",
    )
