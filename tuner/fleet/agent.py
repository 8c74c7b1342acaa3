"""The agent of a host: measures there what the driver asks for, one attempt at a time.

It hears of the driver through a pipe to Ray's actor. When the pipe closes, whatever the reason,
it ends the server and the load engine, removes its files, and goes.
"""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import sleep
from typing import assert_never

from runners.environment import set_own

# As the command line does it, before numpy is loaded: servers do not inherit it.
set_own("OPENBLAS_NUM_THREADS", "1")

from runners.base import PLACEHOLDER
from runners.docker import DockerRunner
from runners.errors import CommandNotFound, RunnerError
from tuner import hardware
from tuner.errors import SpaceError, TrialFailure, TunerError
from tuner.fleet import priority
from tuner.fleet.crew import (
    Attempt,
    Broken,
    Ended,
    GivenUp,
    PhaseBegan,
    PointEnded,
    Refused,
)
from tuner.fleet.messages import Begin, Enrol, Ready, Rest, packed
from tuner.fleet.orders import FILES, AttemptGivenUp, Dismissed, Orders
from tuner.fleet.packing import unpacked_job
from tuner.load.calibration import Calibration, calibrate
from tuner.records import PointRecord, Purpose, TrialRecord
from tuner.space.space import Configuration
from tuner.study import placement, workspaces
from tuner.study.job import Job, PreparedJob, opened_bench, prepare, target_setup
from tuner.study.trial import Bench, run_trial
from tuner.targets.base import StagedTarget

# What ends an attempt on this host, and would not have ended it on another one.
_HOSTS_FAULTS = (TunerError, RunnerError, OSError)
# Seconds that all has to be gone within once the driver is gone.
_ENDING_S = 40.0
_SEE_HOST = "see to the host; `tuner fleet doctor` looks at all of them"


def main() -> None:
    """Serve the driver at the other end of the pipe whose descriptor is the first argument."""
    nice = priority.restored()
    # The first descriptor is closed by the end of the process, and nothing before: whoever sees
    # the pipe's end knows that nothing runs any more.
    with (
        suppress(Dismissed),
        closing(Connection(os.dup(int(sys.argv[1])))) as pipe,
        workspaces.opened() as folder,
        Orders.heard(pipe, folder, _must_end) as orders,
    ):
        _Agent(pipe, orders, folder).serve(priority.note(nice))


class _Agent:
    def __init__(self, pipe: Connection, orders: Orders, folder: Path) -> None:
        self._pipe = pipe
        self._orders = orders
        self._folder = folder

    def serve(self, note: str) -> None:
        """Do what the driver wants until it wants nothing more, and says so by `Dismissed`.

        It is told the `note` once this host is ready.
        """
        enrol = self._orders.enrolled()
        self._host = enrol.host
        machine = hardware.detect()
        try:
            self._orders.check_files()
            prepared = self._prepared(enrol)
            with self._bench(prepared) as (bench, image_digest):
                self._say(Ready(machine, image_digest, note))
                self._work(bench)
        except _HOSTS_FAULTS as error:
            self._say(Refused(self._host, str(error), _cure(error), machine))

    def _prepared(self, enrol: Enrol) -> PreparedJob:
        """The job with the files that came.

        Raises:
            TunerError: It is not the driver's study.
        """
        expected = enrol.expected
        job = unpacked_job(enrol.parcel.job, self._folder / FILES)
        _check_cpus(job)
        prepared = prepare(replace(job, study=expected.study))
        study = prepared.study
        for what, its, wanted in (
            ("model", study.model_fingerprint, expected.model_fingerprint),
            ("search space", study.space_fingerprint, expected.space_fingerprint),
        ):
            if its != wanted:
                raise TunerError(
                    f"its {what} is another one than the driver's: fingerprint {its}, "
                    f"not {wanted}",
                    hint="files that are named by full paths must be there as the driver has them",
                )
        return prepared

    @contextmanager
    def _bench(self, prepared: PreparedJob) -> Iterator[tuple[Bench, str]]:
        """What trials need here, with the digest of the image that servers have."""
        job = prepared.job
        workspace = self._folder / self._folder.name  # targets mark what they own with its name
        workspace.mkdir()
        target = prepared.kind.target(prepared.model, prepared.space, target_setup(job, workspace))
        with placement.runner(
            job.place, prepared.kind, workspace / "logs", grpc=job.form.grpc
        ) as runner:
            target.stage()
            _check_program(prepared, target)
            digest = runner.image.digest if isinstance(runner, DockerRunner) else ""
            told = _Told(self._say, self._host, 0)
            check = partial(_self_check, job)
            with opened_bench(prepared, target, runner, observer=told, check=check) as bench:
                yield bench, digest

    def _work(self, bench: Bench) -> None:
        for order in self._orders:
            match order:
                case Begin():
                    self._say(self._ran(bench, order.attempt))
                case Rest():
                    bench.deployment.stop()
                case _:
                    assert_never(order)

    def _ran(self, bench: Bench, attempt: Attempt) -> Ended | GivenUp | Broken:
        host, number = self._host, attempt.number
        told = _Told(self._say, host, number)
        its = replace(bench, golden=attempt.golden, observer=told)
        try:
            with self._orders.running(attempt) as beat:
                record, golden = run_trial(its, attempt.plan, beat)
        except AttemptGivenUp:
            _begin_anew(bench)
            return GivenUp(host, number)
        except _HOSTS_FAULTS as error:
            _begin_anew(bench)
            return Broken(host, number, str(error), _cure(error))
        return Ended(host, number, replace(record, host=host, attempt=number), golden)

    def _say(self, message: object) -> None:
        with suppress(OSError):  # nobody listens any more: that is heard of by the orders
            self._pipe.send_bytes(packed(message))


class _Told:
    """An Observer whose driver is told."""

    def __init__(self, say: Callable[[object], None], host: str, attempt: int) -> None:
        self._say = say
        self._host = host
        self._attempt = attempt

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        """The driver knows."""

    def phase_begins(self, phase: str) -> None:
        self._say(PhaseBegan(self._host, self._attempt, phase))

    def point_ends(self, point: PointRecord) -> None:
        self._say(PointEnded(self._host, self._attempt, point))

    def trial_ends(self, record: TrialRecord) -> None:
        """The driver does that."""


def _must_end() -> None:
    """Kill this process unless it ends soon; the guardian then ends the server."""
    sleep(_ENDING_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _check_program(prepared: PreparedJob, target: StagedTarget) -> None:
    """That the host has the server's program; in an image, it is the same for all hosts.

    Raises:
        CommandNotFound: It has not.
    """
    if prepared.job.is_elsewhere:
        return
    with suppress(TrialFailure, SpaceError, ValueError):  # the trial will say that
        launch = target.launch_spec(prepared.space.defaults)
        program = launch.command[0]
        place = Path(launch.working_directory or "", program) if "/" in program else program
        path = launch.environment.get("PATH")
        if not PLACEHOLDER.search(program) and shutil.which(place, path=path) is None:
            raise CommandNotFound(command=program, reason=os.strerror(errno.ENOENT))


def _begin_anew(bench: Bench) -> None:
    """Whatever the attempt left half done is ended."""
    bench.deployment.stop()
    bench.load.engine.revive()


def _self_check(job: Job, payload_bytes: int) -> Calibration:
    return calibrate(payload_bytes=payload_bytes, cpus=job.engine_cpus)


def _check_cpus(job: Job) -> None:
    """The driver's machine may have other processors.

    Raises:
        TunerError: This one does not have those that are wanted.
    """
    there = os.cpu_count() or 1
    last = max(job.engine_cpus | job.server_cpus, default=0)
    if last >= there:
        raise TunerError(
            f"it has the CPUs 0 to {there - 1}, and CPU {last} is wanted",
            hint="name CPUs that each host has by `--engine-cpus` and `--server-cpus`",
        )


def _cure(error: Exception) -> str:
    return getattr(error, "hint", "") or _SEE_HOST


if __name__ == "__main__":
    main()
