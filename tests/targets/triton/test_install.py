"""Where Triton comes from: PATH, the wheel, or nowhere; and which Python its models get."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.errors import ServerMissingError
from tuner.targets.base import Installation
from tuner.targets.triton import install as triton_install

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
STUB = "triton_python_backend_stub"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package laid out like the wheel's, which is imported in place of the real one."""
    server = tmp_path / "site" / "pytriton" / "tritonserver"
    for file in (
        server.parent / "__init__.py",
        server / "bin" / "tritonserver",
        server / "backends" / "python" / "libtriton_python.so",
        server / "python_backend_stubs" / VERSION / STUB,
        server / "python_backend_stubs" / "3.9" / STUB,
        server / "python_backend_stubs" / "3.10" / STUB,
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name == "pytriton"}
    yield server
    sys.modules.update(hidden)


def missing(workspace: Path) -> tuple[str, str]:
    """Message and hint."""
    with pytest.raises(ServerMissingError) as caught:
        triton_install.find_triton(workspace)
    return caught.value.message, caught.value.hint


def test_path_first(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `tritonserver` on PATH is what its owner wants: it is taken as it is."""
    program = tmp_path / "tritonserver"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert wheel.exists()
    assert triton_install.find_triton(tmp_path / "work") == Installation(program)
    assert not (tmp_path / "work").exists()


def test_wheel(wheel: Path, tmp_path: Path) -> None:
    """The wheel's files are linked into the layout that the server expects."""
    installation = triton_install.find_triton(tmp_path / "work")
    assert triton_install.find_triton(tmp_path / "work") == installation  # it may be used again

    backends = tmp_path / "work" / "backends"
    assert installation.executable == wheel / "bin" / "tritonserver"
    assert installation.flags == (
        f"--backend-directory={backends}",
        f"--cache-directory={wheel / 'caches'}",
    )
    linked = {path.name: path.resolve() for path in (backends / "python").iterdir()}
    assert linked == {
        "libtriton_python.so": wheel / "backends" / "python" / "libtriton_python.so",
        STUB: wheel / "python_backend_stubs" / VERSION / STUB,
    }


def test_environment_of_the_wheel(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models run in this environment: its `python3` is the first on PATH, others come later.

    So it is with libraries.
    """
    monkeypatch.setenv("PATH", "/elsewhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/cuda")
    environment = triton_install.find_triton(tmp_path).environment

    first, *others = environment["PATH"].split(os.pathsep)
    assert (Path(first) / "python3").exists()
    assert first == str(Path(sys.executable).parent)
    assert others == ["/elsewhere"]
    libraries = environment["LD_LIBRARY_PATH"].split(os.pathsep)
    assert libraries[0] == str(wheel.parents[1] / "nvidia_pytriton.libs")
    assert (Path(libraries[1]) / f"libpython{VERSION}.so.1.0").exists()
    assert libraries[2:] == ["/cuda"]


def test_neither(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any Triton the message says where it was looked for, the hint how to get it."""
    assert wheel.exists()
    monkeypatch.setattr(sys, "path", [])
    assert missing(tmp_path) == (
        "Triton is not installed: neither `tritonserver` on PATH nor the wheel was found",
        "pip install 'serving-tuner[triton]'",
    )


def test_options(wheel: Path) -> None:
    """They are those that `tritonserver --help` prints, which ends it with an error."""
    program = wheel / "bin" / "tritonserver"
    program.write_text(
        "#!/bin/sh\n"
        "printf 'Usage\\n  --help\\n\\t\\tsee --other\\n  --http-port <integer>\\n' >&2\n"
        "exit 1\n"
    )
    program.chmod(0o755)
    assert triton_install.options() == {"--help", "--http-port"}


def test_options_of_what_does_not_start(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that cannot be asked, or that is not there, names none."""
    (wheel / "bin" / "tritonserver").chmod(0o644)
    assert triton_install.options() == frozenset()
    monkeypatch.setattr(sys, "path", [])
    assert triton_install.options() == frozenset()


def test_no_stub(wheel: Path, tmp_path: Path) -> None:
    """A Python that the wheel has no stub for is told which ones it has, in their order."""
    stubs = wheel / "python_backend_stubs"
    (stubs / VERSION / STUB).unlink()
    (stubs / VERSION).rmdir()
    assert missing(tmp_path) == (
        f"the Triton of the wheel has no Python backend for Python {VERSION}",
        "it has one for Python 3.9, 3.10",
    )


def test_another_pytriton(wheel: Path, tmp_path: Path) -> None:
    """A package of that name without any stub is told as one that has none."""
    (wheel / "python_backend_stubs").rename(wheel / "elsewhere")
    assert missing(tmp_path)[1] == "it has one for Python (none)"


def test_no_libpython(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without a shared library cannot run the backend; the hint names the package."""
    assert wheel.exists()
    monkeypatch.setattr(triton_install, "_LIBRARY_FOLDERS", (str(tmp_path),))
    library = f"libpython{VERSION}.so.1.0"
    assert missing(tmp_path) == (
        f"Triton's Python backend needs {library}, which this Python does not have",
        f"on Debian and Ubuntu: apt install libpython{VERSION}",
    )
