"""A small study of Triton with its space, as the facts of hints are told from."""

from typing import Any

from tests.report import studies
from tests.report.studies import BEST
from tuner.records import StudyRecord, TrialRecord
from tuner.space import spec
from tuner.space.resolution import resolve

MACHINE = {
    "cores": 2,
    "memory_gib": 8,
    "numa_nodes": 1,
    "threads_per_core": 1,
    "numactl": 1,
    "gpus": 0,
}
SPACE = resolve(spec.load_space(spec.built_in()["triton"]), MACHINE)
CONFIG = """# threads: start the server with OMP_NUM_THREADS=1
name: "encoder"
backend: "python"
max_batch_size: 16
input { name: "ids" data_type: TYPE_INT64 dims: [-1, 30] }
output { name: "logits" data_type: TYPE_FP32 dims: [8] }
instance_group { count: 2 kind: KIND_CPU }
"""


def best(**wishes: Any) -> TrialRecord:
    """The winner of the demo."""
    return studies.trial(2, 401.0, **({"configuration": BEST, "export": CONFIG} | wishes))


def demo(*trials: TrialRecord, **wishes: Any) -> StudyRecord:
    """The baseline, and these trials, on this machine as a process."""
    facts: dict[str, Any] = {"space": SPACE, "place": {"runner": "process"}}
    return studies.study([studies.baseline(), *trials], **(facts | wishes))
