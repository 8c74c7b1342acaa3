"""From what a person asked for to a study that runs: puts the parts together."""

import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from runners.base import Runner
from runners.docker import ContainerSettings
from tuner import hardware
from tuner.errors import InputError, Reason
from tuner.goals import LatencyBudget, Loop, Objective, SearchBudget
from tuner.hardware import Hardware
from tuner.load.calibration import Calibration, calibrate
from tuner.load.client import LoadEngine
from tuner.load.requests import TensorSpec
from tuner.numbers.quantities import size_bytes
from tuner.records import StudyRecord
from tuner.search.samplers import Sampler
from tuner.space import spec
from tuner.space.document import fingerprint
from tuner.space.expressions import value_text
from tuner.space.parts import check_names
from tuner.space.resolution import resolve
from tuner.space.serve import ServeSpec
from tuner.space.settings import ConfigPath
from tuner.space.space import SearchSpace
from tuner.store.ownership import Hold, held
from tuner.store.storage import Storage
from tuner.study import placement, workspaces
from tuner.study.continued_study import open_study
from tuner.study.deadline import Deadline
from tuner.study.deployment import Deployment
from tuner.study.earlier_best import earlier_best
from tuner.study.given_space import given_space, space_path
from tuner.study.loop import Study
from tuner.study.observer import Observer
from tuner.study.placement import Place, RemoteAddress
from tuner.study.recorder import Recorder
from tuner.study.study_plan import StudyPlan
from tuner.study.time_plan import too_short
from tuner.study.trial import Bench
from tuner.study.trial_load import SelfCheck, TrialLoad
from tuner.targets.base import ModelSource, ServedModel, StagedTarget, TargetSetup
from tuner.targets.catalog import ServerKind, server_kind
from tuner.targets.request_form import RequestForm
from tuner.watch import gpu_usage
from tuner.watch.disturbances import host_watched

DEFAULT_SERVER = "triton"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a person asked for.

    Empty `study` is a new study with a name of its own; empty `server` is that of the space file,
    or Triton. `place` is where the servers run, this machine where it is None. `inputs` are those
    of the `model_file`, `variants` are other forms of the model, whose outputs may be `tolerance`
    from the model's (`outputs.check_outputs`). `with_models` are others that the model asks.
    Trials that failed for a reason in `retry` are run again. `options` are those of the command,
    to be stored; `log` is the file with its output, where it has no terminal. `fleet` is the
    address of the hosts that measure, empty for this machine; `group` is the kind of hardware that
    they have, and `hardware` is that, this machine's where it is None.
    """

    budget: LatencyBudget
    repository: Path | None = None
    model_file: Path | None = None
    inputs: tuple[TensorSpec, ...] = ()
    variants: tuple[str, ...] = ()
    with_models: tuple[str, ...] = ()
    tolerance: float | None = None
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
    server: str = ""
    place: Place = None
    options: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""
    retry: tuple[Reason, ...] = ()
    fleet: str = ""
    group: str = ""
    hardware: Hardware | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the server has other programs and libraries than this machine."""
        return self.place is not None


@dataclass(frozen=True)
class PreparedJob:
    """A job after everything was read and checked; nothing has been written.

    `notes` are what is to be known of the model, in sentences.
    """

    job: Job
    kind: ServerKind[Any]
    model: ServedModel
    space: SearchSpace
    study: StudyRecord
    notes: tuple[str, ...] = ()
    compare: tuple[str, ...] | None = None


def prepare(job: Job) -> PreparedJob:
    """Read the model, the space and the machine; a server is asked where only it knows the model.

    Raises:
        InputError: Something about them cannot be used.
        TunerError: A server must be asked, and cannot be.
    """
    if job.arrivals is Loop.CLOSED and Objective.LATENCY in job.objectives:
        raise InputError(
            "`--objective latency` compares latencies at one rate, which a closed loop has not",
            hint="leave out `--arrivals closed`",
        )
    given = given_space(job.space_file, server=job.server)
    kind = server_kind(given.server if given else job.server or DEFAULT_SERVER)
    job = replace(job, form=kind.fit_form(job.form))
    job = replace(job, place=placement.with_image(job.place, given.serve if given else None))
    machine = _machine(job)
    opened = kind.open_model(_source(job, kind, given.serve if given else None))
    model, notes = _completed(job, kind, opened)
    job = replace(job, form=model.fit_form(job.form))
    if job.form.asks:
        job.form.prompts.check_limits(job.budget.limits)
    space = _space(job, kind, model, given, machine)
    compare = None if given is None or given.compare is None else tuple(given.compare)
    now = datetime.now(UTC)
    study = StudyRecord(
        name=job.study or f"{_plain(model.name)}-{now:%Y%m%d-%H%M%S}",
        created_at=now,
        server=kind.name,
        model=model.name,
        model_fingerprint=model.fingerprint,
        space_fingerprint=fingerprint(space),
        space=space,
        budget=job.budget,
        parameters={p.name: f"{p.domain} (default {p.default})" for p in space.parameters},
        request=job.form.as_record() | {"seed": job.seed} | _comparing(job, compare),
        hardware=machine.as_record(),
        environment=_environment(),
        options=job.options,
        objectives=job.objectives,
        arrivals=job.arrivals,
        sampler=job.sampler.value,
        warm_start=job.warm_start,
    )
    notes += (*model.remarks(job.form), *_settled(space))
    return PreparedJob(job, kind, model, space, study, notes, compare)


def _space(
    job: Job,
    kind: ServerKind[Any],
    model: ServedModel,
    given: spec.SpaceSpec | None,
    machine: Hardware,
) -> SearchSpace:
    """What can be searched: of the space that was given, or else of the model's."""
    file = space_path(str(job.space_file or model.space))
    whole = resolve(given or spec.load_space(file), machine.bounds, file=file)
    space = kind.fit_space(model, model.adapt(whole, contained=job.is_elsewhere), job.form)
    settings = (p.sets for p in space.parameters)
    check_names(space, {s.part for s in settings if isinstance(s, ConfigPath) and s.part})
    if job.form.grpc:
        flags = space.names_of("flag")
        space = space.without({p.name for p, flag in flags if flag in kind.http_flags})
    if isinstance(job.place, RemoteAddress):
        placement.check_ports(job.place, grpc=job.form.grpc)
        space = placement.reloadable(space)
    return space


def _settled(space: SearchSpace) -> Iterator[str]:
    """The parameters that look as if they were searched, but have one value."""
    for name, value, rule in space.settled:
        yield f"`{name}` is always {value_text(value)}: {rule.because or rule.expression.text}"


def _completed(
    job: Job, kind: ServerKind[Any], model: ServedModel
) -> tuple[ServedModel, tuple[str, ...]]:
    """The model with what only a server knows of it; one is started for that, for a moment."""
    if isinstance(job.place, RemoteAddress) or not kind.needs_server(model):
        return model, ()
    with workspaces.opened() as workspace:
        setup = target_setup(job, workspace)
        with placement.runner(job.place, kind, workspace / "logs") as runner:
            return kind.completed(model, setup, runner)


def target_setup(job: Job, workspace: Path) -> TargetSetup:
    """What a target of this job is made for."""
    return TargetSetup(
        workspace=workspace,
        form=job.form,
        start_timeout_s=job.start_timeout_s,
        contained=job.is_elsewhere,
    )


def _plain(model: str) -> str:
    """The model's name as the beginning of one that is typed, and that a folder has."""
    return re.sub(r"[^\w.+@=,-]", "_", model).lstrip(".-") or "model"


def _machine(job: Job) -> Hardware:
    """What the server may use of this machine."""
    place = job.place
    limits = (place.cpu_quota, place.memory) if isinstance(place, ContainerSettings) else (0.0, "")
    memory_bytes = size_bytes(limits[1])
    return (job.hardware or hardware.detect()).limited(
        cpus=job.server_cpus,
        cores=limits[0],
        memory_bytes=memory_bytes,
        gpus=placement.gpu_limit(place),
    )


def _source(job: Job, kind: ServerKind[Any], serve: ServeSpec | None) -> ModelSource:
    """Where the model is.

    Raises:
        InputError: An option says nothing of that.
    """
    if job.inputs and job.model_file is None:
        raise InputError(
            "`--input` means nothing without a model file",
            hint="leave it out; what requests carry is said by `--shape` and `--input-data`",
        )
    if job.with_models and kind.name != DEFAULT_SERVER:
        raise InputError(
            f"`--with-model` names models that a model of Triton asks, but the server is "
            f"`{kind.name}`",
            hint="leave it out",
        )
    place = job.place
    if isinstance(place, RemoteAddress):
        given = {"--model-repository": job.repository, "--server-cpus": job.server_cpus}
        for option, value in given.items():
            if value:
                raise InputError(
                    f"`{option}` means nothing to a remote server",
                    hint="leave it out",
                )
    return ModelSource(
        folder=job.repository,
        file=job.model_file,
        inputs=job.inputs,
        contained=job.is_elsewhere,
        name=job.model,
        variants=job.variants,
        with_models=job.with_models,
        serve=serve,
        space_file=job.space_file,
        server=placement.remote(place, kind).server if isinstance(place, RemoteAddress) else None,
    )


def run(
    prepared: PreparedJob, observer: Observer, say: Callable[[str], None] = lambda _: None
) -> StudyRecord:
    """Run the study to its end; the server, the engine and the workspace are gone afterwards.

    `say` is told in a sentence what an earlier study is begun with.

    Raises:
        StudyHeldError: Another process runs it.
    """
    job, space = prepared.job, prepared.space
    if note := too_short(job.budget, job.search_budget, space.size):
        say(note)
    with ExitStack() as stack:
        workspace = stack.enter_context(workspaces.opened())
        target = prepared.kind.target(prepared.model, space, target_setup(job, workspace))
        runner = stack.enter_context(
            placement.runner(job.place, prepared.kind, workspace / "logs", grpc=job.form.grpc)
        )
        storage = stack.enter_context(Storage(job.database, create=True, say=say))
        first = earlier_best(storage, job.warm_start, job.budget, space, say)
        wanted = placement.recorded(prepared.study, job.place, runner)
        study, hold = stack.enter_context(owned(storage, wanted, job))
        recorder = Recorder(observer, hold)
        for note in placement.notes(job.place, prepared.kind):
            say(note)
        target.stage()
        stack.enter_context(placement.restored(target, runner, say))
        check = partial(_self_check, storage, prepared)
        bench = stack.enter_context(
            opened_bench(prepared, target, runner, observer=recorder, check=check)
        )
        plan = StudyPlan(
            space=space, budget=job.search_budget, seed=job.seed, first=first, retry=job.retry
        )
        say = recorder.saying(say)
        found = Study(study, bench=bench, storage=storage, plan=plan, say=say, recorder=recorder)
        return found.run()


@contextmanager
def owned(storage: Storage, wanted: StudyRecord, job: Job) -> Iterator[tuple[StudyRecord, Hold]]:
    """The study, begun or gone on with, which nobody else runs meanwhile.

    Raises:
        StudyChangedError: The stored study is another one; it stays as it is.
        StudyHeldError: Another process runs it.
    """
    open_study(storage, wanted)
    limits, ends_at = job.search_budget.as_record(), Deadline(job.search_budget).ends_at
    with held(
        storage, wanted.name, limits=limits, ends_at=ends_at, log=job.log, retry=job.retry
    ) as hold:
        # Read anew: its owner before may have added trials until now.
        yield open_study(storage, wanted), hold


@contextmanager
def opened_bench(
    prepared: PreparedJob,
    target: StagedTarget,
    runner: Runner,
    *,
    observer: Observer,
    check: SelfCheck,
) -> Iterator[Bench]:
    """What trials need, for a target that is staged; engine and server are gone afterwards."""
    job = prepared.job
    with (
        LoadEngine(cpus=job.engine_cpus) as engine,
        gpu_usage.opened() as gpus,
        Deployment(
            target, runner, cpus=job.server_cpus or None, study=prepared.study.name, gpus=gpus
        ) as deployment,
    ):
        load = TrialLoad(engine, job.budget, self_check=check, gpus=gpus, host=host_watched)
        yield Bench(
            target,
            deployment,
            load,
            observer,
            job.arrivals,
            tolerance=job.tolerance,
            compare=prepared.compare,
        )


def _comparing(job: Job, compare: Sequence[str] | None) -> dict[str, Any]:
    """How far outputs may be, and which, if that was said: part of what a study asks for."""
    said = {"tolerance": job.tolerance, "compare": None if compare is None else list(compare)}
    return {name: value for name, value in said.items() if value is not None}


def _self_check(storage: Storage, prepared: PreparedJob, payload_bytes: int) -> Calibration:
    """What the load engine can do on this machine: measured once, then known to the database."""
    host = str(prepared.study.hardware["fingerprint"])
    known = storage.calibration(host, payload_bytes)
    if known is None:
        known = calibrate(payload_bytes=payload_bytes, cpus=prepared.job.engine_cpus)
        storage.save_calibration(host, payload_bytes, known)
    return known


def _environment() -> dict[str, str]:
    packages = ("serving-tuner", "optuna", "nvidia-pytriton", "torchserve", "torch", "numpy")
    versions = {"python": platform.python_version()}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
