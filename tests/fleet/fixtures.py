"""A real cluster of Ray on this machine, for all tests that need one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.fleet.agents import ROOT

HOSTS = 2


@dataclass(frozen=True)
class RealFleet:
    """A cluster whose hosts have their temporary files in `folder`; `client` is for drivers."""

    address: str
    client: str
    folder: Path

    @property
    def agents(self) -> list[psutil.Process]:
        """Those that run on its hosts."""
        return self.running("tuner.fleet.agent")

    def running(self, module: str) -> list[psutil.Process]:
        """Its processes that run this module."""
        found = psutil.process_iter(["cmdline"])
        return [process for process in found if self._has(process, module)]

    def _has(self, process: psutil.Process, module: str) -> bool:
        with suppress(psutil.Error):
            command = process.info["cmdline"] or []
            if module in command:
                return process.environ().get("TMPDIR") == str(self.folder)
        return False


@pytest.fixture(scope="session")
def real_fleet() -> Iterator[RealFleet]:
    """Two hosts, which are gone afterwards with all that ran on them."""
    pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("cluster_script.py")), str(HOSTS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TMPDIR": folder,
                "RAY_TMPDIR": folder,
                "RAY_USAGE_STATS_ENABLED": "0",
                # A server for a client that did not start is waited for no longer.
                "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "5",
            },
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address, client = process.stdout.readline().split()
            yield RealFleet(address, client, Path(folder))
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(60)
