"""The model of tests/models, which misbehaves on demand, and what may vary about it."""

from dataclasses import replace
from pathlib import Path

from tests.spaces import choice, integer
from tests.targets.triton.triton_targets import Served, built_in, served
from tuner.space.expressions import Value
from tuner.space.settings import EnvironmentVariables, ServerFlag
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton.repository import RepositoryModel
from tuner.targets.triton.target import TritonTarget

MODELS = Path(__file__).parents[1] / "models"
MOODS = (
    "good",
    "raises at load",
    "hangs at load",
    "crashes the server at load",
    "never answers well",
    "crashes the server",
    "takes all memory",
    "ends",
    "hangs",
    "refuses",
    "gives NaN",
    "adds the batch",
)
BATCHING: dict[str, Value] = {
    "dynamic_batching": True,
    "max_batch_size": 4,
    "max_queue_delay_microseconds": 500,
}
# However late the others come, a batch waits for them.
PATIENT: dict[str, Value] = {"max_queue_delay_microseconds": 1_000_000}


def moody_space() -> SearchSpace:
    mood = replace(choice(*MOODS, name="mood"), sets=EnvironmentVariables(("MOOD",)))
    http = replace(integer("http_threads", default=8), sets=ServerFlag("--http-thread-count"))
    space = built_in()
    return replace(space, parameters=(mood, http, *space.parameters))


def moody(
    folder: Path,
    *,
    kind: type[TritonTarget] = TritonTarget,
    repository: Path = MODELS,
    start_timeout_s: float = 60.0,
) -> Served:
    return served(
        folder,
        RepositoryModel(repository, "moody"),
        searched=moody_space(),
        kind=kind,
        start_timeout_s=start_timeout_s,
        mood="good",
    )


def target_in(workspace: Path, form: RequestForm | None = None) -> TritonTarget:
    """The same model as a target that was not staged: for what needs no server of its own."""
    model = RepositoryModel(MODELS, "moody")
    return TritonTarget(
        model,
        model.adapt(moody_space()),
        TargetSetup(workspace=workspace, form=form or RequestForm(), start_timeout_s=7.0),
        Installation(Path("/opt/tritonserver"), ("--x",), {"A": "b"}),
    )


def configuration(**values: Value) -> Configuration:
    return RepositoryModel(MODELS, "moody").adapt(moody_space()).activate(values)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    found = (folder, *sorted(folder.rglob("*")))
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_size) for p in found}
