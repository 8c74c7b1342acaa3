"""Reading what the tuner and Model Analyzer recommend, and comparing it."""

import math
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.landscapes.base import LANDSCAPES
from benchmarks.model_analyzer import Pair, Results, interval
from benchmarks.model_analyzer_runs import (
    ToolFailedError,
    recommended,
    run_to_end,
    write_wrapper,
)
from benchmarks.perf_analyzer_capacity import Point, highest, read_point
from benchmarks.recommendations import Carried, Recommendation, started_with
from tuner import demo, hardware
from tuner.goals import LatencyBudget
from tuner.space import spec
from tuner.space.resolution import search_space
from tuner.space.space import Configuration
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.request_form import RequestForm
from tuner.targets.triton.repository import RepositoryModel
from tuner.targets.triton.target import TritonTarget

# As Model Analyzer 1.58 writes it.
RESULTS = """\
Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,Satisfies Constraints,\
Throughput (infer/sec),p99 Latency (ms)
mlp,1,16,mlp_config_4,2:CPU,4,Yes,9800.4,4.2
mlp,1,8,mlp_config_4,2:CPU,4,Yes,8000.0,3.1
mlp,1,64,mlp_config_4,2:CPU,4,No,12000.9,9.9
mlp,1,4,mlp_config_default,1:CPU,64,Yes,3500.0,1.9

"""
# As perf_analyzer 2.41 writes it, here without the server's columns.
REPORT = """\
Concurrency,Inferences/Second,Client Send,Client Recv,p50 latency,p90 latency,p95 latency,\
p99 latency
16,9000.25,10,2,1500,2500,3000,4900
"""


def recommendation(config: str = "") -> Recommendation:
    return Recommendation(
        tool="tuner", run=0, wall_s=1.0, configurations=1, claimed=1.0, config=config
    )


def carried(engine: float | None) -> Carried:
    return Carried(tool="tuner", run=0, round=1, engine=engine, perf_analyzer=None)


def test_recommended_variant() -> None:
    """The fastest measurement that satisfies the constraints names the recommended variant."""
    assert recommended(RESULTS) == ("mlp_config_4", 9800.4, 2)


def test_nothing_satisfies_the_constraints() -> None:
    """Without any such measurement the tool has failed."""
    with pytest.raises(ToolFailedError, match="none of its configurations satisfies"):
        recommended(RESULTS.replace("Yes", "No"))


def test_perf_analyzers_report() -> None:
    """Its throughput, and the percentile asked for, which it gives in microseconds."""
    assert read_point(REPORT, 99) == Point(9000.25, 0.0049)
    assert read_point(REPORT.splitlines()[0], 99) is None


def server(concurrency: int) -> Point:
    """1000 inferences per second, whatever waits before them."""
    return Point(min(100.0 * concurrency, 1000.0), max(0.01, concurrency / 1000))


@pytest.mark.parametrize(
    ("limit_s", "throughput"), [(0.010, 1000.0), (0.1, 1000.0), (0.009, 0.0), (9.0, 1000.0)]
)
def test_highest_throughput_within_a_limit(limit_s: float, throughput: float) -> None:
    """Concurrency is doubled and then bisected; 0 where even one request at a time is too slow."""
    assert highest(server, limit_s) == throughput


def test_highest_concurrency_is_found() -> None:
    """To a sixteenth: the true one is 37 here."""
    asked = []

    def measure(concurrency: int) -> Point:
        asked.append(concurrency)
        return Point(float(concurrency), concurrency / 1000)

    assert highest(measure, 0.037) in (36.0, 37.0)
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128, 48, 40, 36, 38]


def test_one_slow_point_decides_nothing() -> None:
    """A point that is over the limit, but not far, does not end the search."""

    def measure(concurrency: int) -> Point:
        late = 0.015 if concurrency == 2 else 0.0
        return Point(float(concurrency), max(late, concurrency / 1000))

    assert highest(measure, 0.010) == 10.0


def test_no_answer() -> None:
    """Without any point there is no capacity to tell."""
    assert highest(lambda _: None, 1.0) is None


def test_settings_are_read_from_what_the_tuner_hands_over(tmp_path: Path) -> None:
    """The variables that the tuner's config.pbtxt names are those that the server is given."""
    model = RepositoryModel(demo.REPOSITORY, demo.MODEL)
    space = search_space(spec.built_in()["triton"], hardware.detect().bounds)
    target = TritonTarget(
        model,
        model.adapt(space),
        TargetSetup(workspace=tmp_path, form=RequestForm()),
        Installation(Path("tritonserver")),
    )
    configuration = Configuration.of(
        {
            "instance_count": 2,
            "dynamic_batching": True,
            "max_batch_size": 8,
            "max_queue_delay_microseconds": 500,
            "preferred_batch_size": 4,
            "threads": 1,
        }
    )

    handed_over = recommendation(target.export(configuration))

    variables = ("OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1")
    assert handed_over.settings == variables
    assert handed_over.words == ["2", "8", "delay 500 us, preferred 4", " ".join(variables)]


def test_a_configuration_without_dynamic_batching() -> None:
    """What a configuration does not say is what Triton does then."""
    assert recommendation("max_batch_size: 4").words == ["1", "4", "no", "-"]


def test_flags_and_variables_reach_the_server() -> None:
    """Settings that begin with a dash are flags, the others variables."""
    installed = Installation(Path("tritonserver"), ("--first",), {"PATH": "/bin"})

    started = started_with(installed, ("--http-thread-count=4", "OMP_NUM_THREADS=1"))

    assert started.flags == ("--first", "--http-thread-count=4")
    assert started.environment == {"PATH": "/bin", "OMP_NUM_THREADS": "1"}


def test_a_wrapper_sets_variables_and_adds_flags(tmp_path: Path) -> None:
    """The program runs with its variables, its arguments, and then the flags."""
    path = tmp_path / "wrapper"
    script = 'echo "$GREETING $@" > "$OUT"; exit 0'
    environment = {"GREETING": "it's me", "OUT": str(tmp_path / "out")}
    write_wrapper(path, Path("/bin/sh"), environment, ["--flag=a b"])

    subprocess.run([path, "-c", script, "name", "argument"], check=True)

    assert (tmp_path / "out").read_text() == "it's me argument --flag=a b\n"


@pytest.mark.parametrize("lasts", ["true", "sleep 1"], ids=["at once", "later"])
def test_a_tool_that_fails(tmp_path: Path, lasts: str) -> None:
    """Its exit status and its last words are told, however soon it fails."""
    command = ("/bin/sh", "-c", f"{lasts}; echo no such model; exit 7")

    with pytest.raises(ToolFailedError, match=r"its exit status was 7:\nno such model"):
        run_to_end(command, tmp_path, 60.0)


def test_a_tool_that_takes_too_long(tmp_path: Path) -> None:
    """It is ended, and said to have been too slow."""
    with pytest.raises(ToolFailedError, match=r"it was not done after 0\.3 s"):
        run_to_end(("/bin/sleep", "600"), tmp_path, 0.3)


def test_interval_of_ratios() -> None:
    """Student's t on logarithms: 2 degrees of freedom for three ratios."""
    low, high = interval([1.0, math.e, math.e**2]) or (0.0, 0.0)

    half_width = 4.3027 / math.sqrt(3)
    assert (math.log(low), math.log(high)) == pytest.approx(
        (1 - half_width, 1 + half_width), rel=1e-4
    )


@pytest.mark.parametrize("ratios", [[1.2], [0.0, 1.0], [1.0, math.inf]])
def test_no_interval(ratios: list[float]) -> None:
    """A single ratio has none, and neither have those that are 0 or infinite."""
    assert interval(ratios) is None


def test_rounds_without_an_answer_say_nothing() -> None:
    """Only rounds in which both were measured are compared; a capacity of 0 is one."""
    rounds = [
        (carried(200.0), carried(100.0)),
        (carried(200.0), carried(None)),
        (carried(0.0), carried(100.0)),
    ]
    pair = Pair(recommendation(), recommendation(), tuple(rounds))

    assert pair.capacities("engine") == [(200.0, 100.0), (0.0, 100.0)]
    assert pair.capacities("perf_analyzer") == []


def test_results_are_continued(tmp_path: Path) -> None:
    """What was saved is there when the file is opened again."""
    landscape = LANDSCAPES["mlp"]
    results = Results(tmp_path / "results.json")
    results.recommendations(landscape).append(recommendation("max_batch_size: 4"))
    results.carried(landscape).append(carried(12.5))
    results.save()

    again = Results(tmp_path / "results.json")

    assert again.recommendations(landscape) == [recommendation("max_batch_size: 4")]
    assert again.carried(landscape) == [carried(12.5)]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_results_are_those_of_a_latency_budget(tmp_path: Path) -> None:
    """What was found within another latency budget is no answer."""
    results = Results(tmp_path / "results.json")
    results.recommendations(LANDSCAPES["mlp"]).append(recommendation())

    other = replace(LANDSCAPES["mlp"], budget=LatencyBudget(99, 0.123))

    assert results.recommendations(other) == []
