"""/api/v1/machine: whether it is fit for measuring, and what it offers."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from runners.process_names import machine as this_machine
from tests.command_line import Tuner
from tuner.service.api import machine
from tuner.service.api.machine import Doctor, DoctorDocument, HardwareDocument
from tuner.service.api.problems import ProblemError
from tuner.service.service import Service
from tuner.store.queue import QueueState, Submission, bring, submit
from tuner.watch.host_checks import Check

FINE = Check("cores", "8")
BAD = Check("swap in use", "9 MiB", fine=False, cost="slow", cure="swapoff --all")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """When the machine was looked at."""
    found: list[datetime] = []

    def checks() -> list[Check]:
        found.append(datetime.now(UTC))
        return [FINE, BAD]

    monkeypatch.setattr(machine, "host_checks", checks)
    return found


def measuring(service: Service) -> int:
    """The number of a job that runs on this machine."""
    wanted = Submission(
        study="night", machine=this_machine(), options={}, by="local", log=""
    )  # fmt: skip
    job, _ = submit(service.storage, wanted)
    bring(service.storage, job.id, QueueState.RUNNING, expected=[QueueState.QUEUED])
    return job.id


class TestDoctor:
    """A check takes a second of the machine: never while a study runs there."""

    def test_an_idle_machine(self, client: httpx.Client, looks: list[datetime]) -> None:
        """It is looked at, and not again for those who ask soon."""
        first, second = (client.get("/api/v1/machine/doctor").json() for _ in range(2))

        assert (first, len(looks)) == (second, 1)
        assert (first["fit"], [each["fine"] for each in first["checks"]]) == (False, [True, False])
        assert first["checks"][1]["cure"] == "swapoff --all"

    def test_while_a_study_runs(self, service: Service, looks: list[datetime]) -> None:
        """What was found before is said, or that nobody has looked yet."""
        doctor = Doctor()
        number = measuring(service)
        with pytest.raises(ProblemError, match="a study runs on this machine") as refused:
            doctor.says(service)
        bring(service.storage, number, QueueState.DONE, expected=[QueueState.RUNNING])
        known = doctor.says(service)

        assert refused.value.status == 409
        assert known.checked_at >= looks[0]

    def test_an_old_answer(self, service: Service, looks: list[datetime]) -> None:
        """It is given as long as a study runs, and then no more."""
        ago = datetime.now(UTC) - timedelta(days=1)
        doctor = Doctor(DoctorDocument(fit=True, checks=[], checked_at=ago))
        number = measuring(service)

        assert doctor.says(service).checked_at == ago
        bring(service.storage, number, QueueState.DONE, expected=[QueueState.RUNNING])
        assert doctor.says(service).checked_at >= looks[0]


def test_hardware(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """What the command says."""
    found = client.get("/api/v1/machine/hardware").json()

    assert found == Tuner(capsys)("hardware", "--json").json
    HardwareDocument.model_validate(found)
