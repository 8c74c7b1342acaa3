"""From what a person asked for to a study: what is refused, offered, and begun with."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.refusals import refused
from tests.report import studies
from tests.servers.tensorflow_program import save_model
from tests.store.test_storage import stored
from tests.targets.triton.triton_targets import write_model
from tuner.goals import AnswerLimits, LatencyBudget, Loop, Objective
from tuner.load.calibration import Calibration
from tuner.load.requests import TensorSpec
from tuner.protocols.openai_form import OpenAiForm
from tuner.protocols.v2 import V2Protocol
from tuner.search.samplers import Sampler
from tuner.space.space import Configuration
from tuner.store.storage import Storage
from tuner.study import job
from tuner.study.earlier_best import earlier_best
from tuner.study.earlier_study import earlier_study
from tuner.study.job import Job, PreparedJob, prepare
from tuner.targets.request_form import RequestForm

BUDGET = LatencyBudget(99, 0.05)
WHOLE = """
backend: "python" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: 4 }
output { name: "y" data_type: TYPE_FP32 dims: 4 }
"""


def prepared(path: Path, *warm_start: str, budget: LatencyBudget = BUDGET) -> PreparedJob:
    """A job on the bundled model, with the database at `path`."""
    return prepare(Job(budget=budget, database=str(path), warm_start=warm_start))


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A database with one study of the bundled model on this machine."""
    now = prepared(tmp_path / "none.db").study
    study = replace(
        studies.small_study(),
        name="yesterday",
        model=now.model,
        model_fingerprint=now.model_fingerprint,
        hardware=now.hardware,
    )
    return stored(tmp_path / "studies.db", study)


def test_what_was_asked_for_is_kept_with_the_study(tmp_path: Path) -> None:
    """Objectives, arrivals, sampler and warm start, for whoever reads the study later."""
    wanted = Job(
        budget=BUDGET,
        objectives=(Objective.THROUGHPUT, Objective.MEMORY),
        arrivals=Loop.CLOSED,
        sampler=Sampler.RANDOM,
        warm_start=("yesterday",),
    )
    study = prepare(wanted).study
    assert study.objectives == (Objective.THROUGHPUT, Objective.MEMORY)
    assert (study.arrivals, study.sampler) == (Loop.CLOSED, "random")
    assert study.warm_start == ("yesterday",)


def test_a_tolerance_is_part_of_what_was_asked_for() -> None:
    """With another one a study is another study; without one nothing is said of it."""
    assert prepare(Job(budget=BUDGET, tolerance=0.05)).study.request["tolerance"] == 0.05
    assert "tolerance" not in prepare(Job(budget=BUDGET)).study.request


@pytest.mark.parametrize(
    ("said", "compare"), [("none", ()), ('["$.label", OUTPUT0]', ("$.label", "OUTPUT0"))]
)
def test_what_is_compared_is_part_of_what_was_asked_for(
    tmp_path: Path, said: str, compare: tuple[str, ...]
) -> None:
    """A space file says it; where it does not, all is compared."""
    file = tmp_path / "space.yaml"
    file.write_text(f"extends: triton\ncompare: {said}\n")
    found = prepare(Job(budget=BUDGET, space_file=file))
    assert found.compare == compare
    assert found.study.request["compare"] == list(compare)
    usual = prepare(Job(budget=BUDGET))
    assert (usual.compare, "compare" in usual.study.request) == (None, False)
    assert found.space == usual.space


def test_inputs_without_a_model_file() -> None:
    """An option that would be ignored is refused."""
    with refused(
        "`--input` means nothing without a model file",
        hint="leave it out; what requests carry is said by `--shape` and `--input-data`",
    ):
        prepare(Job(budget=BUDGET, inputs=(TensorSpec("x", "FP32", (-1, 4)),)))


def test_a_closed_loop_has_no_rate_to_compare_latencies_at() -> None:
    """Refused before anything starts."""
    wanted = Job(budget=BUDGET, arrivals=Loop.CLOSED, objectives=(Objective.LATENCY,))
    with refused(
        "`--objective latency` compares latencies at one rate, which a closed loop has not",
        hint="leave out `--arrivals closed`",
    ):
        prepare(wanted)


def vectors(folder: Path) -> Path:
    """A space file whose server makes vectors, unless a person asks for something else."""
    file = folder / "vectors.yaml"
    file.write_text(
        "server: command\n"
        "serve: {command: [serve, '{port:http}'], openai: {task: embeddings}}\n"
        "parameters:\n"
        "  n: {type: int, low: 1, high: 9, default: 9, sets: {flag: --n}}\n"
        "rules: [{rule: n > 8, because: fewer are too few}]\n"
    )
    return file


@pytest.mark.parametrize(
    ("limits", "option"),
    [
        (AnswerLimits(itl_s=0.05), "itl"),
        (AnswerLimits(whole_s=1.0, ttft_s=0.5, itl_s=0.05), "ttft"),
    ],
)
def test_limits_of_tokens_where_a_space_asks_for_vectors(
    tmp_path: Path, limits: AnswerLimits, option: str
) -> None:
    """They are refused before a server starts: a vector would keep any; an answer need not."""
    budget = LatencyBudget.of_answers(99, limits)
    asked = Job(budget=budget, space_file=vectors(tmp_path))
    with refused(
        f"`--budget-{option}-ms` needs answers that come token by token",
        "give `--budget-ms`: what is asked for is `embeddings`, and comes at once",
    ):
        prepare(asked)
    chat = replace(asked.form, prompts=OpenAiForm(task_said=True))
    assert prepare(replace(asked, form=chat)).study.budget == budget


def test_a_parameter_with_one_value_left(tmp_path: Path) -> None:
    """It is said, with the reason of the rule; without a reason, the rule itself."""
    asked = Job(budget=BUDGET, space_file=vectors(tmp_path))
    assert prepare(asked).notes == ("`n` is always 9: fewer are too few",)
    text = asked.space_file.read_text() if asked.space_file else ""
    vectors(tmp_path).write_text(text.replace(", because: fewer are too few", ""))
    assert prepare(asked).notes == ("`n` is always 9: n > 8",)
    vectors(tmp_path).write_text(text.replace("n > 8", "n > 7"))
    assert prepare(asked).notes == ()


def test_an_earlier_study_of_this_model_is_offered(earlier: Path) -> None:
    """With the option that begins with it."""
    offer = earlier_study(prepared(earlier))
    assert offer.startswith("study yesterday tuned the same model on this machine")
    assert "`--warm-start yesterday`" in offer


def test_nothing_is_offered_where_one_was_chosen(earlier: Path) -> None:
    """Nor where there is no database, or it cannot be read: the study itself will say so."""
    assert earlier_study(prepared(earlier, "yesterday")) == ""
    assert earlier_study(prepared(earlier.parent / "missing.db")) == ""
    broken = earlier.parent / "broken.db"
    broken.write_text("no database at all")
    assert earlier_study(prepared(broken)) == ""


def best_of(path: Path, *names: str, budget: LatencyBudget = BUDGET) -> list[Configuration]:
    said: list[str] = []
    with Storage(str(path)) as storage:
        space = prepared(path, *names, budget=budget).space
        found = earlier_best(storage, names, budget, space, said.append)
    assert len(said) == len(names)
    assert all(sentence.startswith("begins with the best of study") for sentence in said)
    return list(found)


def test_the_best_of_an_earlier_study_come_first(earlier: Path) -> None:
    """Adapted to this space, without the server's defaults."""
    found = best_of(earlier, "yesterday")
    space = prepared(earlier).space
    assert 1 <= len(found) <= 3
    assert space.defaults not in found
    assert not any(space.violations(each) for each in found)


def test_for_another_latency_budget_its_load_points_decide(earlier: Path) -> None:
    """What carries most within 50 ms need not do so within 20 ms."""
    found = best_of(earlier, "yesterday", budget=LatencyBudget(99, 0.02))
    assert 1 <= len(found) <= 3


def test_for_limits_of_other_parts_its_own_order_counts(earlier: Path) -> None:
    """Its load points say nothing of them, and its best may still be good."""
    budget = LatencyBudget.of_answers(99, AnswerLimits(ttft_s=0.02))
    assert best_of(earlier, "yesterday", budget=budget) == best_of(earlier, "yesterday")


def test_a_study_that_is_not_there_cannot_be_begun_with(earlier: Path) -> None:
    """The ones that are there are named."""
    message, hint = "no study is called `tomorrow`", "studies here: yesterday"
    with Storage(str(earlier)) as storage, refused(message, hint):
        earlier_best(storage, ["tomorrow"], BUDGET, prepared(earlier).space, print)


def test_the_engine_checks_itself_once_for_each_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it can do is kept in the database, by machine and size of request."""
    asked: list[int] = []

    def calibrate(*, payload_bytes: int, cpus: frozenset[int]) -> Calibration:
        assert cpus == frozenset()
        asked.append(payload_bytes)
        return Calibration(40_000.0, 1e-4)

    monkeypatch.setattr(job, "calibrate", calibrate)
    path = tmp_path / "studies.db"
    for _ in range(2):
        with Storage(str(path), create=True) as storage:
            assert job._self_check(storage, prepared(path), 256) == Calibration(40_000.0, 1e-4)
    assert asked == [256]


def test_a_built_in_space_by_its_name() -> None:
    """`--space NAME` is a built-in space, as `tuner spaces show NAME` has it."""
    asked = Job(budget=LatencyBudget(99, 0.05), space_file=Path("triton_pytorch"))
    assert "inference_mode" in prepare(asked).study.parameters


@pytest.mark.parametrize(("protocol", "searched"), [(None, True), (V2Protocol.GRPC, False)])
def test_threads_of_what_requests_do_not_speak(
    tmp_path: Path, protocol: V2Protocol | None, *, searched: bool
) -> None:
    """A parameter of HTTP alone is not searched where requests go over gRPC."""
    save_model(tmp_path)
    form = RequestForm(protocol=protocol)
    asked = Job(budget=BUDGET, server="tensorflow_serving", repository=tmp_path, form=form)
    assert ("rest_threads" in prepare(asked).study.parameters) == searched


@pytest.mark.parametrize(
    ("model", "begins"),
    [
        ("resnet-50_v1.5", "resnet-50_v1.5-"),
        ("a:b", "a_b-"),
        ("-x", "x-"),
        (".hidden", "hidden-"),
        ("a+b=c", "a+b=c-"),
    ],
)
def test_a_study_of_any_model_has_a_name_to_type(tmp_path: Path, model: str, begins: str) -> None:
    """The name of a study is a word and a folder, whatever the model is called."""
    write_model(tmp_path, model, WHOLE)
    study = prepare(Job(budget=BUDGET, repository=tmp_path)).study
    assert study.name.startswith(begins)
    assert study.model == model
