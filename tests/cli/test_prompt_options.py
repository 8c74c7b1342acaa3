"""What language models are asked, by the options of `tuner measure`: values and refusals."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.measuring import Measure, write_json
from tests.refusals import refused
from tests.servers.openai_server import serving
from tuner.cli.measure_options import MeasureOptions, ServiceKind
from tuner.cli.measure_plan import sweep_plan, traced
from tuner.cli.measure_services import service
from tuner.cli.prompt_forms import KEY_VARIABLE, with_key
from tuner.load.profile import Replay
from tuner.protocols.openai_form import ConversationForm, OpenAiForm
from tuner.protocols.openai_task import Task
from tuner.sweep.openai import OpenAiService
from tuner.sweep.sweep import SweepPlan
from tuner.workload.datasets import Selection
from tuner.workload.lengths import Constant, Normal, Uniform

NOWHERE = "http://127.0.0.1:9"
OPENAI = ("--service-kind", "openai")
FILE = "leave one of them out: the file says what is asked"
BOTH = "give both, or leave it out"
USERS = "give `--concurrency`: so many users, each of whom waits for the answer"
LINE = '{"timestamp": %d, "input_length": 20, "output_length": 4}\n'


@pytest.fixture(autouse=True)
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace of four requests in the folder that the test is in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    Path("trace.jsonl").write_text("".join(LINE % (1000 * n) for n in range(4)))


def options(**values: Any) -> MeasureOptions:
    return MeasureOptions(**{"url": NOWHERE, "service_kind": ServiceKind.OPENAI, **values})


def form(**values: Any) -> OpenAiForm:
    found = service(options(**values))
    assert isinstance(found, OpenAiService)
    return found._form


REFUSED: dict[tuple[str, ...], tuple[str, str]] = {
    ("--extra", "temperature"): (
        "`--extra` must be NAME=VALUE, but got `temperature`",
        "for example: `--extra temperature=0.7`",
    ),
    **{
        ("--extra", f"{name}=1"): (f"`--extra {name}=...` is set by other options", "leave it out")
        for name in ("model", "messages", "prompt", "input", "stream", "stream_options")
    },
    **{
        ("--dataset", "x", option, value): (f"`{option}` means nothing to `--dataset`", FILE)
        for option, value in (
            ("--prompt-tokens", "9"),
            ("--output-tokens", "9"),
            ("--prefix-share", "0.5"),
        )
    },
    **{
        ("--trace", "trace.jsonl", option, value): (f"`{option}` means nothing to `--trace`", FILE)
        for option, value in (
            ("--prompt-tokens", "9"),
            ("--output-tokens", "9"),
            ("--prefix-share", "0.5"),
            ("--prompts", "9"),
            ("--dataset", "x"),
        )
    },
    ("--trace", "trace.jsonl", "--rate", "1"): (
        "`--rate` and `--trace` exclude each other",
        "measure one after the other",
    ),
    ("--trace", "trace.jsonl", "--arrivals", "constant"): (
        "`--arrivals` means nothing to `--trace`",
        "leave it out, or give `--rate`",
    ),
    ("--trace-speed", "2"): ("`--trace-speed` means nothing without `--trace`", BOTH),
    ("--trace", "trace.jsonl", "--duration", "0.5s"): (
        "`--trace trace.jsonl` has no two requests at different times to play",
        "give a longer one, or raise `--duration` or `--request-count`",
    ),
    ("--turns", "2"): ("`--turns` means nothing without `--sessions`", BOTH),
    ("--think-time", "2s"): ("`--think-time` means nothing without `--sessions`", BOTH),
    ("--sessions", "--dataset", "x", "--turns", "2"): (
        "`--turns` means nothing to `--dataset`",
        FILE,
    ),
    **{
        ("--sessions", option, value): (f"`{option}` and `--sessions` exclude each other", USERS)
        for option, value in (("--rate", "1"), ("--ramp", "1:2"), ("--trace", "trace.jsonl"))
    },
    **{
        ("--task", "embeddings", option, *value): (
            f"`{option}` means nothing to `--task embeddings`",
            "leave it out, or give `--task chat`",
        )
        for option, *value in (
            ("--output-tokens", "9"),
            ("--whole-answers",),
            ("--heed-eos",),
            ("--sessions",),
            ("--trace", "trace.jsonl"),
            ("--budget-ttft-ms", "9"),
            ("--budget-itl-ms", "9"),
        )
    },
    ("-b", "2"): (
        "`--batch` means nothing to `--task chat`",
        "leave it out, or give `--task embeddings`",
    ),
}


@pytest.mark.parametrize("given", REFUSED, ids=" ".join)
def test_refusals(measure: Measure, given: tuple[str, ...]) -> None:
    """What cannot be used, or would change nothing, is refused before anything is asked."""
    url = NOWHERE
    # The last of SHORT's options count: these are those of the command's own defaults.
    result = measure.tuner("measure", url, *OPENAI, "--json", *given)
    message, hint = REFUSED[given]
    assert (result.status, result.out) == (2, "")
    assert result.err == f"error: {message}\nhint: {hint}\n"


def test_no_grpc(measure: Measure) -> None:
    """It is an interface of HTTP."""
    assert measure.refusal("grpc://127.0.0.1:9", *OPENAI) == (
        "`--service-kind openai` is spoken over HTTP",
        "give an http:// or https:// URL",
    )


def test_the_usual_form() -> None:
    """Token by token, to the full length, of the server's only model."""
    found = form()
    assert (found.options.model, found.options.task) == ("", Task.CHAT)
    assert found.options.streaming
    assert found.options.ignore_eos
    assert (found.synthetic.prompt, found.synthetic.output) == (Constant(256), Constant(128))
    assert (found.synthetic.count, found.selection) == (64, Selection())
    assert (found.conversations, found.trace, found.dataset) == (None, None, None)


def test_what_the_options_say() -> None:
    """Each of them is in the form."""
    found = form(
        model="m", task=Task.COMPLETIONS, prompt_tokens="normal:9:2", output_tokens="uniform:1:5",
        prefix_share=0.5, prompts=7, tokenizer=Path("t"), whole_answers=True, heed_eos=True,
        extra=["temperature=0.7", "stop=x", 'a={"b": 1}', "c="], header=["X: y"], seed=3,
    )  # fmt: skip
    asked, made_up = found.options, found.synthetic
    assert (asked.model, asked.task, asked.streaming) == ("m", Task.COMPLETIONS, False)
    assert not asked.ignore_eos
    assert asked.extra == {"temperature": 0.7, "stop": "x", "a": {"b": 1}, "c": ""}
    assert asked.headers == {"X": "y"}
    assert (made_up.prompt, made_up.output) == (Normal(9, 2), Uniform(1, 5))
    assert (made_up.shared, made_up.count, made_up.seed) == (0.5, 7, 3)
    assert found.tokenizer == Path("t")


def test_several_inputs() -> None:
    """There are at least as many prompts as one request needs."""
    found = form(task=Task.EMBEDDINGS, batch=100)
    assert (found.options.inputs, found.synthetic.count) == (100, 100)
    assert not found.options.streaming


def test_a_file() -> None:
    """So many of it, by the seed."""
    found = form(dataset=Path("x"), prompts=5, seed=2)
    assert (found.dataset, found.selection) == (Path("x"), Selection(most=5, seed=2))


def test_conversations() -> None:
    """Their turns, and how long users think."""
    assert form(sessions=True).conversations == ConversationForm(turns=Constant(4))
    found = form(sessions=True, turns="uniform:2:6", think_time="1.5s").conversations
    assert found == ConversationForm(turns=Uniform(2, 6), think_s=1.5)


def test_a_trace() -> None:
    """It is played once, for as long as it lasts, unless less is asked for."""

    def planned(**values: Any) -> SweepPlan:
        given = options(trace=Path("trace.jsonl"), **values)
        return sweep_plan(given, traced(given))

    plan = planned()
    assert plan.profiles == [Replay((0.0, 1.0, 1.0, 1.0))]
    assert (plan.duration_s, plan.max_requests) == (4.0, 4)
    plan = planned(trace_speed=2.0, request_count=3)
    assert plan.profiles == [Replay((0.0, 0.5, 0.5))]
    assert (plan.duration_s, plan.max_requests) == (1.5, 3)
    plan = planned(duration="2.5s")
    assert (plan.duration_s, plan.max_requests) == (2.5, 3)


def test_a_trace_is_read_once(measure: Measure) -> None:
    """So it may come through a pipe, as that of a program which unpacks it."""
    reading, writing = os.pipe()
    os.write(writing, "".join(LINE % (10 * n) for n in range(4)).encode())
    os.close(writing)
    try:
        with serving() as server:
            [point] = measure(server.url, *OPENAI, "--trace", f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert point["requests"] == 4
    # One is tried for a single token.
    assert {body["max_tokens"] for body in server.bodies("/v1/chat/completions")} == {1, 4}


class TestTheKey:
    """Who asks: the key of the environment, which is nowhere to be seen."""

    def test_it_is_a_header(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unless a header says who asks."""
        assert with_key({"X": "y"}) == {"X": "y"}
        monkeypatch.setenv(KEY_VARIABLE, "s3cret")
        assert with_key({"X": "y"}) == {"X": "y", "Authorization": "Bearer s3cret"}
        assert with_key({"authorization": "Basic z"}) == {"authorization": "Basic z"}

    def test_it_is_nowhere_to_be_seen(
        self, measure: Measure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither in what is said nor in any file; the page of metrics is asked with it, too."""
        monkeypatch.setenv(KEY_VARIABLE, "s3cret")
        files = ("--export", "all.json", "-f", "all.csv", "--plot", "all.html")
        short = ("--prompt-tokens", "20", "--output-tokens", "2", "--prompts", "2")
        with serving(key="s3cret") as server:
            given = (*OPENAI, *short, *files, "--collect-metrics", "--request-count", "4")
            result = measure.run(server.url, "--json", *given)
            assert (result.status, result.json[0]["errors"]) == (0, {})
            asked = {path for path, headers, _ in server.asked}
            keys = {headers.get("Authorization") for _, headers, _ in server.asked}
        assert {"/metrics", "/v1/models", "/tokenize", "/v1/chat/completions"} == asked
        assert keys == {"Bearer s3cret"}
        said = [result.out, result.err, *(Path(each).read_text() for each in files[1::2])]
        assert not any("s3cret" in each for each in said)
        assert {"all.json", "all.csv", "all.html"} < set(os.listdir())  # noqa: PTH208

    def test_a_wrong_key(self, measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server's own words are the error."""
        monkeypatch.setenv(KEY_VARIABLE, "wrong")
        with serving(key="right") as server:
            message, _ = measure.refusal(server.url, *OPENAI, status=1)
        assert "who are you?" in message
        assert "wrong" not in message


def test_a_histogram_of_lengths(tmp_path: Path) -> None:
    """A file says how often each length was seen."""
    file = write_json(tmp_path / "seen.json", {"5": 1})
    assert form(prompt_tokens=f"histogram:{file}").tokens == 5 + 128


def test_a_length_that_is_none() -> None:
    """The option is named."""
    hint = (
        "for example: `512`, `uniform:100:900`, `normal:512:64`, `lognormal:300:0.8` (median, "
        "sigma) or `histogram:FILE.json`"
    )
    for option, name in (("output_tokens", "--output-tokens"), ("turns", "--turns")):
        with refused(f"`{name}` must be tokens from 1 to 1,000,000, but got `x`", hint):
            form(sessions=True, **{option: "x"})


@pytest.mark.parametrize("key", ["sk-\x00s3cret", "sk-\u00e9s3cret"])
def test_a_key_that_cannot_be_sent(key: str) -> None:
    """It is refused without being shown; ends of lines around it are no part of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", {KEY_VARIABLE: key})
        with refused(
            "`TUNER_API_KEY` is no API key: ***", "one line of printable ASCII is expected"
        ):
            with_key({})
        patch.setattr(os, "environ", {KEY_VARIABLE: "s3cret\r\n"})
        assert with_key({}) == {"Authorization": "Bearer s3cret"}


@pytest.mark.parametrize("limit", ["ttft", "itl"])
def test_limits_that_whole_answers_cannot_break(limit: str) -> None:
    """They would be kept by any server."""
    message = f"`--budget-{limit}-ms` needs answers that come token by token"
    with refused(message, "leave out `--whole-answers`, or give `--budget-ms`"):
        service(options(whole_answers=True, **{f"budget_{limit}_ms": 50.0}))
