"""From what a person asked for to a study that runs: puts the parts together."""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil

from runners import ProcessRunner
from tuner import answers, demo, hardware, spec, warm_start
from tuner.capacity import LatencyBudget, Loop
from tuner.deployment import Deployment
from tuner.errors import InputError, TunerError
from tuner.load import LoadEngine
from tuner.load.calibration import Calibration, calibrate
from tuner.objectives import Objective
from tuner.records import StudyRecord
from tuner.samplers import Sampler, check_available
from tuner.search_budget import SearchBudget
from tuner.space import Configuration, SearchSpace
from tuner.storage import Storage
from tuner.study import Study, StudyPlan, open_study
from tuner.targets import gpu_usage, triton_install
from tuner.targets.triton import RequestForm, TritonTarget
from tuner.targets.triton_model import TritonModel, check_repository
from tuner.trial import Bench, Observer
from tuner.trial_load import TrialLoad

_WORKSPACE = "tuner-workspace"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a person asked for. Empty `study` is a new study with a name of its own."""

    budget: LatencyBudget
    repository: Path | None = None
    model: str | None = None
    space_file: Path | None = None
    search_budget: SearchBudget = field(default_factory=SearchBudget)
    objectives: tuple[Objective, ...] = (Objective.THROUGHPUT,)
    arrivals: Loop = Loop.OPEN
    sampler: Sampler = Sampler.TPE
    warm_start: tuple[str, ...] = ()
    form: RequestForm = field(default_factory=RequestForm)
    database: str = "studies.db"
    study: str = ""
    seed: int = 0
    engine_cpus: frozenset[int] = frozenset()
    server_cpus: frozenset[int] = frozenset()
    start_timeout_s: float = 120.0


@dataclass(frozen=True)
class PreparedJob:
    """A job after everything was read and checked; nothing has been started or written."""

    job: Job
    model: TritonModel
    space: SearchSpace
    study: StudyRecord


def prepare(job: Job) -> PreparedJob:
    """Read the model, the space and the machine.

    Raises:
        InputError: Something about them cannot be used.
    """
    check_available(job.sampler)
    if job.arrivals is Loop.CLOSED and Objective.LATENCY in job.objectives:
        raise InputError(
            "`--objective latency` compares latencies at one rate, which a closed loop has not",
            hint="leave out `--arrivals closed`",
        )
    machine = hardware.detect()
    repository = job.repository or demo.REPOSITORY
    model_name = job.model or (None if job.repository else demo.MODEL)
    model = TritonModel(repository, check_repository(repository, model_name))
    space_file = job.space_file or spec.built_in()["triton"]
    space = spec.load_space(space_file).resolve(machine.bounds)
    if space.server != TritonTarget.server:
        raise InputError(
            f"{space_file}: is for the server `{space.server}`, but only `triton` can be tuned",
            hint="`tuner spaces list` shows the built-in spaces",
        )
    space = model.adapt(space)
    now = datetime.now(UTC)
    study = StudyRecord(
        name=job.study or f"{model.name}-{now:%Y%m%d-%H%M%S}",
        created_at=now,
        server=TritonTarget.server,
        model=model.name,
        model_fingerprint=model.fingerprint,
        space_fingerprint=space.fingerprint,
        budget=job.budget,
        parameters={p.name: f"{p.domain} (default {p.default})" for p in space.parameters},
        request={
            "batch": job.form.batch,
            "data": "zero" if job.form.zero else "random",
            "shapes": {name: list(shape) for name, shape in job.form.shapes.items()},
            "seed": job.seed,
        },
        hardware=machine.as_record(),
        environment=_environment(),
        objectives=job.objectives,
        arrivals=job.arrivals,
        sampler=job.sampler.value,
        warm_start=job.warm_start,
    )
    return PreparedJob(job, model, space, study)


def run(
    prepared: PreparedJob, observer: Observer, say: Callable[[str], None] = lambda _: None
) -> StudyRecord:
    """Run the study to its end; the server, the engine and the workspace are gone afterwards.

    `say` is told in a sentence what an earlier study is begun with.
    """
    job, space = prepared.job, prepared.space
    with ExitStack() as stack:
        workspace = stack.enter_context(_workspace())
        target = TritonTarget(
            prepared.model,
            space,
            installation=triton_install.find(workspace),
            workspace=workspace,
            form=job.form,
            start_timeout_s=job.start_timeout_s,
        )
        storage = stack.enter_context(Storage(job.database, create=True))
        first = _earlier_best(storage, prepared, say)
        study = open_study(storage, prepared.study)
        target.stage()
        runner = ProcessRunner(log_directory=workspace / "logs")
        load = TrialLoad(
            stack.enter_context(LoadEngine(cpus=job.engine_cpus)),
            job.budget,
            self_check=_SelfCheck(storage, prepared),
            gpus=stack.enter_context(gpu_usage.opened()),
        )
        deployment = stack.enter_context(Deployment(target, runner, cpus=job.server_cpus or None))
        return Study(
            study,
            bench=Bench(target, deployment, load, observer, job.arrivals),
            storage=storage,
            plan=StudyPlan(space=space, budget=job.search_budget, seed=job.seed, first=first),
        ).run()


@dataclass(frozen=True)
class _SelfCheck:
    """What the load engine can do on this machine: measured once, then known to the database."""

    storage: Storage
    prepared: PreparedJob

    def __call__(self, payload_bytes: int) -> Calibration:
        host = str(self.prepared.study.hardware["fingerprint"])
        known = self.storage.calibration(host, payload_bytes)
        if known is None:
            cpus = self.prepared.job.engine_cpus
            known = calibrate(payload_bytes=payload_bytes, cpus=cpus)
            self.storage.save_calibration(host, payload_bytes, known)
        return known


def earlier_study(prepared: PreparedJob) -> str:
    """A sentence that offers to begin with an earlier study of this model; empty without one."""
    if prepared.job.warm_start:
        return ""
    try:
        with Storage(prepared.job.database) as storage:
            studies = storage.studies()
    except TunerError:  # no database yet; what else is wrong with it, the study will say
        return ""
    if any(study.name == prepared.study.name for study in studies):
        return ""
    return warm_start.offer(prepared.study, studies)


def _earlier_best(
    storage: Storage, prepared: PreparedJob, say: Callable[[str], None]
) -> tuple[Configuration, ...]:
    """The best configurations of the studies to begin with, for the present space.

    Raises:
        InputError: There is no such study.
    """
    found: dict[Configuration, None] = {}
    for name in prepared.job.warm_start:
        earlier = storage.study(name)
        ranked: Sequence[Configuration] = warm_start.ranked(earlier)
        if earlier.budget != prepared.job.budget:
            known = answers.answer(earlier, prepared.job.budget).ranked
            ranked = [estimate.trial.configuration for estimate in known]
        begin = warm_start.configurations(ranked, prepared.space)
        say(begin.sentence(name))
        found |= dict.fromkeys(begin.configurations)
    return tuple(found)


def _environment() -> dict[str, str]:
    packages = ("serving-tuner", "optuna", "nvidia-pytriton", "numpy")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


@contextmanager
def _workspace() -> Iterator[Path]:
    """A folder for staged models and logs; those of tuners that were killed are removed first."""
    folder = Path(tempfile.gettempdir())
    for left in folder.glob(f"{_WORKSPACE}-*-*"):
        owner = left.name.removeprefix(f"{_WORKSPACE}-").partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{_WORKSPACE}-{os.getpid()}-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
