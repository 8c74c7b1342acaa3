"""`tuner best` with another latency budget or objective, and `tuner pareto` of several objectives.

What they answer from are stored load points: nothing is started and nothing is measured.
"""

import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command_line import Result, Tuner, error
from tests.report import studies
from tests.report.studies import loads, point
from tests.report.token_studies import token_study
from tests.store.test_storage import stored
from tuner import demo
from tuner.cli.asked import document
from tuner.cli.best import measure_command
from tuner.cli.optimize_options import PlanOptions
from tuner.cli.runner_options import RunnerChoice
from tuner.goals import LatencyBudget, Loop, Objective
from tuner.records import StudyRecord, TrialRecord, Usage

BULK = 'name: "bulk"\n'
QUICK = 'name: "quick"\n'
BOTH = (Objective.THROUGHPUT, Objective.MEMORY)


@pytest.fixture(autouse=True)
def with_studies(folder: Path) -> None:
    stored(folder / "studies.db", study(), several(), closed(), study(name="two words"))


def trials() -> list[TrialRecord]:
    """The defaults, what carries most within 50 ms, and what carries most within 20 ms."""
    slow, bulk, quick = (Usage(memory_bytes=mb * 1e6) for mb in (400, 900, 500))
    return [
        studies.baseline(150.0, points=loads((100, 10), (150, 40), (160, 60)), usage=slow),
        studies.trial(
            1, 2500.0, points=loads((1000, 25), (2400, 45), (2600, 90)), export=BULK, usage=bulk
        ),
        studies.trial(
            2,
            2000.0,
            points=loads((1900, 17.8), (2450, 24.1), (2500, 60)),
            export=QUICK,
            usage=quick,
        ),
    ]


def study(**wishes: Any) -> StudyRecord:
    return studies.study(trials(), **({"name": "one"} | wishes))


def several() -> StudyRecord:
    early = studies.BEGAN.replace(year=2020)
    return study(name="several", created_at=early, objectives=BOTH)


def closed() -> StudyRecord:
    """A study that searched over the concurrency."""
    points = [
        point(concurrency, ms / 1e3, kind="closed", throughput=throughput, requests=5000)
        for concurrency, throughput, ms in ((8, 400.0, 10.0), (10, 450.0, 18.0), (12, 460.0, 30.0))
    ]
    baseline = studies.baseline(460.0, points=tuple(points), export=BULK)
    return studies.study(
        [baseline],
        name="closed",
        arrivals=Loop.CLOSED,
        created_at=studies.BEGAN.replace(year=2020),
    )


def answered(result: Result) -> list[str]:
    """The remarks on stderr."""
    assert result.status == 0, result.err
    return result.err.splitlines()


class TestTheStudysOwnBudget:
    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--budget-ms", "50"],
            ["--percentile", "99"],
            ["--budget-ms", "50", "--percentile", "99", "--objective", "throughput"],
        ],
    )
    def test_is_answered_as_without_options(self, tuner: Tuner, options: list[str]) -> None:
        """What the study itself found stands, without remarks on how it is known."""
        assert tuner("best", "one", *options) == Result(0, BULK, "")


class TestAnotherBudget:
    def test_prints_the_file_and_how_it_is_known(self, tuner: Tuner) -> None:
        """Stdout has what can be deployed and nothing else."""
        result = tuner("best", "one", "--budget-ms", "20")

        assert result.out == QUICK
        (remark,) = answered(result)
        assert remark == (
            "p99 <= 20 ms: 2,095 inferences/s, interpolated between 1,900/s (17.8 ms) and 2,450/s "
            "(24.1 ms) of trial 2; not measured at that load"
        )

    def test_of_another_percentile(self, tuner: Tuner) -> None:
        """A lower percentile carries more within the same limit."""
        asked = ("best", "one", "--budget-ms", "20")
        usual = tuner(*asked, "--json").json["best"]
        lower = tuner(*asked, "--percentile", "50", "--json").json

        assert answered(tuner(*asked, "--percentile", "50"))[0].startswith("p50 <= 20 ms: ")
        assert lower["best"]["throughput"] > usual["throughput"]
        assert lower["latency_budget"] == "p50 <= 20 ms"

    def test_of_another_percentile_alone(self, tuner: Tuner) -> None:
        """The limit is the study's own then."""
        content = tuner("best", "one", "--percentile", "95", "--json").json

        assert content["latency_budget"] == "p95 <= 50 ms"

    def test_beyond_everything_that_was_measured(self, tuner: Tuner) -> None:
        """What is in doubt is said, with the command that says more; the rest: answers.txt."""
        assert answered(tuner("best", "one", "--budget-ms", "200"))[1:] == [
            "no load that was measured is over the limit: it may carry more",
            "not measured near enough to be compared: trial 2 and trial 0",
            "to measure it: tuner optimize --budget-ms 200 --warm-start one",
        ]

    def test_as_json_and_as_yaml(self, tuner: Tuner) -> None:
        """Documents have everything in them, also the remarks; stderr is empty."""
        asked = ("best", "one", "--budget-ms", "200")
        forms = (["--json"], ["--format", "json"], ["--format", "yaml"])
        results = [tuner(*asked, *form) for form in forms]

        assert [result.err for result in results] == [""] * 3
        assert results[0].json == results[1].json
        content = results[0].json
        assert (content["study"], content["objective"]) == ("one", "throughput")
        assert [each["trial"] for each in content["ranked"]] == [1, 2, 0]
        assert content["best"] == content["ranked"][0]
        assert (content["best"]["kind"], content["best"]["high"]) == ("at least", None)
        assert content["measure"] == "tuner optimize --budget-ms 200 --warm-start one"
        whole = yaml.safe_load(results[2].out)
        assert whole["best"]["high"] == math.inf
        assert whole["best"]["configuration"] == content["best"]["configuration"]

    def test_of_a_closed_loop(self, tuner: Tuner) -> None:
        """The answer is a concurrency that was measured."""
        result = tuner("best", "closed", "--budget-ms", "20")

        assert result.out == BULK
        assert answered(result) == [
            "p99 <= 20 ms: 450 inferences/s, measured at concurrency 10 (18.0 ms) of trial 0"
        ]

    @pytest.mark.parametrize("options", [[], ["--json"], ["--format", "yaml"]])
    def test_that_nothing_meets(self, tuner: Tuner, options: list[str]) -> None:
        """The nearest configuration is shown with its lowest latency, with status 3."""
        result = tuner("best", "one", "--budget-ms", "5", *options)

        assert replace(result, out="") == error(
            "no configuration meets p99 <= 5 ms; the nearest has p99 = 10 ms at 100 "
            f"inferences/s, 5 ms over the limit (2.00x): {studies.DEFAULTS}",
            "try `--budget-ms 20`, or a faster model",
            status=3,
        )
        assert bool(result.out) == bool(options)

    @pytest.mark.parametrize(
        ("options", "nearest"),
        [
            (
                ["--budget-ms", "5"],
                {"trial": 0, "latency_ms": 10.0, "over_ms": 5.0, "factor": 2.0, "throughput": 100},
            ),
            (
                ["--objective", "latency", "--budget-ms", "5", "--min-throughput", "1900"],
                {"trial": 2, "latency_ms": 17.8, "throughput": 1900, "factor": 3.56},
            ),
            (
                ["--objective", "memory", "--min-throughput", "9000"],
                {"trial": 2, "throughput": 2488.2, "factor": 0.27646},
            ),
        ],
    )
    def test_the_nearest_in_a_document(
        self, tuner: Tuner, options: list[str], nearest: dict[str, float]
    ) -> None:
        """It has by how much: as a factor of the latency limit, or of what was to be carried."""
        result = tuner("best", "one", *options, "--json")

        found = result.json["nearest"]
        assert (result.status, result.json["best"]) == (3, None)
        assert {name: found[name] for name in nearest} == pytest.approx(nearest, rel=1e-3)

    @pytest.mark.parametrize("option", ["--budget-ms", "--percentile"])
    def test_that_is_out_of_range(self, tuner: Tuner, option: str) -> None:
        """It is refused as everywhere, which tests/cli/test_options.py has word for word."""
        result = tuner("best", "one", option, "0")

        assert (result.status, result.out) == (2, "")
        assert result.err.startswith(f"error: `{option}` must be ")

    @pytest.mark.parametrize(
        ("options", "complaint", "hint"),
        [
            (
                ["--min-throughput", "100"],
                "`--min-throughput` needs another objective than throughput",
                "for example: `--objective memory --min-throughput 100`",
            ),
            (
                ["--objective", "memory", "--min-throughput", "-1"],
                "`--min-throughput` must be above 0, but got -1",
                "",
            ),
        ],
    )
    def test_that_cannot_be(
        self, tuner: Tuner, options: list[str], complaint: str, hint: str
    ) -> None:
        """Options out of range are said to be, with status 2."""
        assert tuner("best", "one", *options) == error(complaint, hint)


class TestAnotherObjective:
    def test_memory(self, tuner: Tuner) -> None:
        """The least of what carries as much as the defaults do."""
        result = tuner("best", "one", "--objective", "memory", "--budget-ms", "20")

        assert answered(result)[0].startswith(
            "memory: 400 MB, the least of what carries 122 inferences/s within p99 <= 20 ms; this "
            "carries 122 inferences/s, interpolated between 100/s (10.0 ms)"
        )

    def test_of_what_carries_enough(self, tuner: Tuner) -> None:
        """What must be carried can be said."""
        asked = ("best", "one", "--objective", "memory", "--min-throughput", "1000")
        content = tuner(*asked, "--json").json

        assert tuner(*asked).out == QUICK
        assert content["best"]["memory_bytes"] == 500e6
        assert content["least_throughput"] == 1000
        assert [each["trial"] for each in content["ranked"]] == [2, 1]
        assert "--objective memory" in content["measure"]

    def test_latency(self, tuner: Tuner) -> None:
        """The lowest latency at a load, by default at the one that the study compares at."""
        asked = ("best", "one", "--objective", "latency")

        assert answered(tuner(*asked, "--min-throughput", "2000"))[0] == (
            "p99 at 2,000 inferences/s: 18.9 ms, interpolated between 1,900/s (17.8 ms) and "
            "2,450/s (24.1 ms) of trial 2; not measured at that load"
        )
        assert tuner(*asked, "--json").json["least_throughput"] == 150

    def test_that_was_not_measured(self, tuner: Tuner) -> None:
        """It is said what measures it, with status 2."""
        assert tuner("best", "one", "--objective", "energy") == error(
            "study `one` has no load point that says anything of the objective `energy`",
            "`tuner optimize --objective energy` measures it",
        )

    def test_that_nothing_reaches(self, tuner: Tuner) -> None:
        """What nothing carries ends with status 3."""
        result = tuner("best", "one", "--objective", "memory", "--min-throughput", "9000")

        assert (result.status, result.out) == (3, "")
        assert "is known to carry 9,000 inferences/s within p99 <= 50 ms" in result.err


class TestMeasureCommand:
    def words(self, study: StudyRecord, **wishes: Any) -> list[str]:
        asked: dict[str, Any] = {
            "budget": LatencyBudget(99, 0.020),
            "objective": Objective.THROUGHPUT,
            "database": "studies.db",
        }
        return shlex.split(measure_command(study, **(asked | wishes)))

    def test_of_the_bundled_model(self) -> None:
        """Nothing is said that `optimize` takes by itself."""
        assert self.words(study(model=demo.MODEL, name="two words")) == [
            *("tuner", "optimize", "--budget-ms", "20", "--warm-start", "two words")
        ]

    def test_of_several_limits(self) -> None:
        """Each is said, in the proportion that they have."""
        study = token_study(model=demo.MODEL)
        words = self.words(study, budget=study.budget.at(0.1))
        assert words[2:6] == ["--budget-ttft-ms", "100", "--budget-itl-ms", "10"]
        assert "--budget-ms" not in words

    def test_of_everything_else(self) -> None:
        """What the study was asked for is asked for again, so that answers can be compared."""
        asked = PlanOptions(
            budget_ms=50,
            percentile=95,
            server="torchserve",
            model_repository=Path("store"),
            variant=["half one"],
            trials=9,
            arrivals=Loop.CLOSED,
            batch=4,
            shape=["image:3,224,224"],
            runner=RunnerChoice.DOCKER,
            image="serving:1",
            pull=True,
            memory="4g",
            cpu_quota=1.5,
            gpus="0,1",
            mount=[Path("/data"), Path("/more data")],
        )
        other = study(options=document(asked))

        found = self.words(
            other,
            budget=LatencyBudget(99.9, 0.0025),
            objective=Objective.MEMORY,
            database="my studies.db",
        )

        assert found == [
            *("tuner", "optimize", "--budget-ms", "2.5"),
            *("--percentile", "99.9", "--server", "torchserve"),
            *("--model-repository", "store", "--variant", "half one", "--trials", "9"),
            *("--objective", "memory", "--arrivals", "closed", "--batch", "4"),
            *("--shape", "image:3,224,224", "--runner", "docker", "--image", "serving:1"),
            *("--pull", "--memory", "4g", "--cpu-quota", "1.5", "--gpus", "0,1"),
            *("--mount", "/data", "--mount", "/more data"),
            *("--warm-start", "one", "--db", "my studies.db"),
        ]

    def test_of_a_model_file(self, folder: Path) -> None:
        """A file has its whole path: the command is not always used in the same folder."""
        (folder / "my mlp.pt").touch()
        asked = PlanOptions(budget_ms=20, model_file=Path("my mlp.pt"), input=["x:FP32:-1,32"])

        assert self.words(study(options=document(asked))) == [
            *("tuner", "optimize", "--budget-ms", "20", str(folder / "my mlp.pt")),
            *("--input", "x:FP32:-1,32", "--warm-start", "one"),
        ]

    def test_of_a_study_of_before(self) -> None:
        """Where options were not stored, what is known of the model is said."""
        assert self.words(study(model="resnet50")) == [
            *("tuner", "optimize", "--budget-ms", "20", "--server", "triton"),
            *("--model-repository", "FOLDER", "--model", "resnet50", "--warm-start", "one"),
        ]

    def test_is_understood(self, tuner: Tuner) -> None:
        """`optimize` has all these options."""
        asked = PlanOptions(
            budget_ms=5,
            batch=4,
            input_data=["zero"],
            shape=["x:3"],
            gpus="all",
            header=["Authorization: Bearer secret"],
        )
        other = study(options=document(asked))
        words = self.words(other, budget=LatencyBudget(99.9, 0.02), objective=Objective.MEMORY)

        assert tuner(*words[1:], "--help").status == 0
        assert "Authorization: ..." in words


class TestPareto:
    def test_of_several_objectives(self, tuner: Tuner) -> None:
        """There are two fronts: of load points, and of trials in the study's objectives."""
        text = tuner("pareto", "several").out

        assert "Pareto front: beyond these load points" in text
        assert "2,500 inferences/s" in text
        assert "900 MB" in text
        assert "\nHypervolume 0 over the server's defaults" in text

    def test_as_json(self, tuner: Tuner) -> None:
        """The document has both, the reference point and the hypervolume."""
        content = tuner("pareto", "several", "--json").json

        assert [row["trial"] for row in content["objectives"]["front"]] == [0, 2, 1]
        assert content["objectives"]["reference"] == {"throughput": 150.0, "memory": 400e6}
        assert content["objectives"]["hypervolume"] == 0.0
        assert len(content["load_points"]) > 1

    def test_of_a_closed_loop(self, tuner: Tuner) -> None:
        """Its load points are those of the search over the concurrency."""
        front = tuner("pareto", "closed", "--json").json["load_points"]

        assert [row["load"] for row in front] == [8.0, 10.0, 12.0]
