"""What a service needs for itself alone: its folder and its address."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runners.process_names import machine
from tuner.errors import TunerError
from tuner.service.jobs import lock
from tuner.service.serving import address, listener
from tuner.service.settings import Settings

HOLDS = """
import sys
from pathlib import Path
from tuner.service.jobs import lock
with lock.held(Path(sys.argv[1])):
    print("has it", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_is_one_services(tmp_path: Path) -> None:
    """Another one is told who has it; once that is killed, nobody has it."""
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"has it\n"
        with pytest.raises(TunerError) as caught, lock.held(tmp_path):
            pass
        process.kill()
    with lock.held(tmp_path), pytest.raises(TunerError, match=f"process {os.getpid()} on "):
        lock.held(tmp_path).__enter__()

    who = f"process {process.pid} on {machine()}"
    assert caught.value.message == f"another service has the folder {tmp_path}: {who}"
    assert caught.value.hint == ("end that one, or choose another `--folder` and another `--db`")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """It cannot be had."""
    (tmp_path / "file").touch()
    with pytest.raises(TunerError) as caught, lock.held(tmp_path / "file"):
        pass
    assert caught.value.message == f"{tmp_path}/file/lock: cannot be written: Not a directory"
    assert caught.value.hint == "choose another `--folder`"


def test_an_address_in_use() -> None:
    """It is said at once."""
    with listener("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(TunerError) as caught:
            listener("127.0.0.1", port)

    assert caught.value.message == (
        f"the service cannot listen on 127.0.0.1:{port}: Address already in use"
    )
    assert caught.value.hint == (
        "another program has the port, or this machine not the address: choose others with "
        "`--port` and `--host`"
    )


@pytest.mark.parametrize("host", ["no.such.name.invalid", "192.0.2.7"])
def test_an_address_of_another_machine(host: str) -> None:
    """Nor can it listen there."""
    with pytest.raises(TunerError, match=f"the service cannot listen on {host}:0: "):
        listener(host, 0)


def test_its_address() -> None:
    """As it is typed into a browser."""
    settings = Settings(database="", folder=Path(), port=8900)
    six = replace(settings, host="::1", certificate=Path("c.pem"))

    assert address(settings) == "http://127.0.0.1:8900"
    assert address(six) == "https://[::1]:8900"
