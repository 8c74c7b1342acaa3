"""The options of `tuner measure`, made into values: what is refused, and in which words."""

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer  # noqa: TID251 - options of a command

from tests.command_line import commands
from tests.measuring import Measure
from tests.refusals import refused
from tuner.cli.measure_options import (
    Compression,
    MeasureOptions,
    RequestOptions,
    ServiceKind,
    TensorFormat,
)
from tuner.cli.measure_plan import first_workers, sweep_plan
from tuner.cli.measure_services import OF_KIND, service
from tuner.cli.prompt_options import ConversationOptions, PromptOptions
from tuner.cli.signature import Command
from tuner.goals import AnswerLimits
from tuner.load.profile import ClosedLoop
from tuner.protocols.openai_task import Task
from tuner.protocols.v2 import MemoryKind
from tuner.protocols.v2_wire import SequenceForm
from tuner.sweep.sweep import SweepPlan
from tuner.sweep.v2 import V2Form, V2Service

NOWHERE = "http://127.0.0.1:9"
MEASURE = commands()["measure",]
CORES = os.cpu_count() or 1


def options(**values: Any) -> MeasureOptions:
    return MeasureOptions(**{"url": NOWHERE, "model": "m", **values})


def form(**values: Any) -> V2Form:
    found = service(options(**values))
    assert isinstance(found, V2Service)
    return found._form


STABILITY = "`--stability` must be a percentage above 0, but got `{}`"
WORKERS = (
    f"`--workers` must be `auto` or from 1 to {CORES}, the cores of this machine, but got `{{}}`"
)
HEADER = "`--header` must be 'Name: value' in printable ASCII, but got `{}`"
IDS = "`--sequence-id-range` must be START or START:END, but got `{}`"
PARAMETER = "`--request-parameter` must be NAME:VALUE:TYPE, but got `{}`"
# The option, values that it cannot have, and what is said of them: `{}` is the value.
BAD: list[tuple[str, tuple[str, ...], str, str]] = [
    ("--stability", ("0%", "much"), STABILITY, "for example: `--stability 10%`"),
    ("--workers", ("0", "many"), WORKERS, ""),
    *(
        (
            "--header",
            bad,
            HEADER.format(shown),  # what may be a secret is not shown
            "for example: `--header 'Authorization: Bearer TOKEN'`",
        )
        for bad, shown in ((("no colon", "X Y: z", ": x"), "***"), (("X: é",), "X: ***"))
    ),
    ("--sequence-id-range", ("a", "1:b"), IDS, "for example: `--sequence-id-range 1:1000`"),
    (
        "--sequence-id-range",
        ("5:5",),
        "`--sequence-id-range {}` has no id in it",
        "END is the first id that is not used",
    ),
    (
        "--request-parameter",
        (
            *("priority", "priority:1", ":1:int", "a:x:int", "a:1.5:int", "a:yes:bool"),
            *("a:inf:float", "a:1:double"),
        ),
        PARAMETER,
        "the types are bool (true, false), int, float and string",
    ),
]
# Options whose refusals test_options, test_address and test_whole_file have word for word.
BAD_ELSEWHERE: dict[tuple[str, ...], str] = {
    ("--concurrency", "1", "--rate", "10"): "`--concurrency` and `--rate` exclude each other",
    ("--concurrency", "1.5"): "`--concurrency` must be ",
    ("--duration", "0s"): "`--duration` must be ",
    ("--warm-up", "x"): "`--warm-up` must be ",
    ("--timeout", "-1s"): "`--timeout` must be ",
    ("--percentile", "100"): "`--percentile` must be ",
    ("--budget-ms", "0"): "`--budget-ms` must be ",
    ("--budget-ms", "nan"): "`--budget-ms` must be ",
    ("--engine-cpus", "one"): "`--engine-cpus` must be ",
    ("--engine-cpus", "9999"): "`--engine-cpus` names CPU 9999, ",
    ("--shape", "3,224"): "`--shape` must be ",
    ("--ca-file", "nowhere"): "`--ca-file nowhere` is no file",
    ("--no-verify",): f"options of TLS were given, but `{NOWHERE}` ",
    ("--protocol", "grpc"): f"`{NOWHERE}` is not spoken to over grpc",
    ("--unix-socket", "nowhere"): "`--unix-socket nowhere` is no socket",
    ("-f", "no/where.csv"): "`no/where.csv` cannot be written: ",
    ("--export", "."): "`.` cannot be written: ",
    ("--plot", "no/where.html"): "`no/where.html` cannot be written: ",
}


@pytest.mark.parametrize(
    ("option", "value", "message", "hint"),
    [(option, each, said.format(each), hint) for option, bad, said, hint in BAD for each in bad],
)
def test_options_that_cannot_be_used(
    measure: Measure, option: str, value: str, message: str, hint: str
) -> None:
    """They are refused before the server is asked anything."""
    assert measure.refusal(NOWHERE, "-m", "m", option, value) == (message, hint)


@pytest.mark.parametrize("given", BAD_ELSEWHERE, ids=" ".join)
def test_options_that_are_checked_elsewhere(measure: Measure, given: tuple[str, ...]) -> None:
    """So are these, and nothing is written."""
    message, hint = measure.refusal(NOWHERE, "-m", "m", *given)
    assert message.startswith(BAD_ELSEWHERE[given])
    assert hint
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("kind", ["triton", "torchserve", "tfserving"])
def test_no_model(measure: Measure, kind: str) -> None:
    """Every service but plain HTTP needs the model's name."""
    assert measure.refusal(NOWHERE, "--service-kind", kind) == (
        "a model is needed",
        "name it with `--model`",
    )


# Of each option that only some kinds of service heed, a value that says something.
SAYS: dict[str, object] = {
    "model_version": "1",
    "batch": 2,
    "shape": ["x:1"],
    "input": ["x:FP32:1,4"],
    "input_data": ["zero"],
    "string_length": 5,
    "string_data": "x",
    "streaming": True,
    "input_tensor_format": TensorFormat.JSON,
    "output_tensor_format": TensorFormat.JSON,
    "compression": Compression.GZIP,
    "request_parameter": ["a:1:int"],
    "shared_memory": MemoryKind.SYSTEM,
    "output_shared_memory_size": 9,
    "num_of_sequences": 9,
    "sequence_length": 9,
    "sequence_length_variation": 9.0,
    "sequence_id_range": "5",
    "signature_name": "other",
    "method": "PUT",
    "path": "/x",
    "body": [Path("x")],
    "content_type": "text/plain",
    "json_path": "$.x",
    "task": Task.COMPLETIONS,
    "prompt_tokens": "9",
    "output_tokens": "9",
    "prefix_share": 0.5,
    "prompts": 9,
    "dataset": Path("x"),
    "tokenizer": Path("x"),
    "whole_answers": True,
    "heed_eos": True,
    "extra": ["a=1"],
    "sessions": True,
    "turns": "9",
    "think_time": "1s",
    "trace": Path("x"),
    "trace_speed": 2.0,
    "budget_ttft_ms": 9.0,
    "budget_itl_ms": 9.0,
}
# Those that are about the load, or the server.
_OF_LOAD = {"model_version", "streaming", "trace", "trace_speed"} | {
    "budget_ttft_ms",
    "budget_itl_ms",
}


def test_the_table_of_services() -> None:
    """Every option of requests is heeded by some kind of service, and this test knows it."""
    assert set(SAYS) == set().union(*OF_KIND.values())
    groups = (RequestOptions, PromptOptions, ConversationOptions)
    assert set(SAYS) - _OF_LOAD == {each.name for group in groups for each in fields(group)}


@pytest.mark.parametrize("kind", ServiceKind)
def test_every_option_is_heeded_or_refused(kind: ServiceKind) -> None:
    """An option that would change nothing is refused, so that nobody believes it did."""
    for option in SAYS.keys() - OF_KIND[kind]:
        message = f"`--{option.replace('_', '-')}` means nothing to `--service-kind {kind}`"
        with refused(message, "leave one of them out"):
            service(options(service_kind=kind, **{option: SAYS[option]}))


FILE = ("--input-data", "data.json")
MEANINGLESS = {
    (*FILE, "--string-length", "5"): "`--string-length` means nothing to `--input-data FILE`",
    (*FILE, "--string-data", "x"): "`--string-data` means nothing to `--input-data FILE`",
    (*FILE, "--sequence-length", "5"): "`--sequence-length` means nothing to `--input-data FILE`",
    (
        *FILE,
        "--sequence-length-variation",
        "5",
    ): "`--sequence-length-variation` means nothing to `--input-data FILE`",
    ("--string-data", "x", "--string-length", "5"): (
        "`--string-length` means nothing to `--string-data`"
    ),
    ("--input-data", "zero", "--string-length", "5"): (
        "`--string-length` means nothing to `--input-data zero`"
    ),
    ("--arrivals", "constant"): "`--arrivals` means nothing to `--concurrency`",
    ("--num-of-sequences", "9"): "`--num-of-sequences` means nothing to `--concurrency`",
    ("--output-shared-memory-size", "9"): (
        "`--output-shared-memory-size` means nothing without `--shared-memory`"
    ),
    ("--metrics-interval", "50"): "`--metrics-interval` means nothing without `--collect-metrics`",
    ("--verbose-csv",): "`--verbose-csv` means nothing without `--latency-report-file`",
}


@pytest.mark.parametrize("given", MEANINGLESS, ids=" ".join)
def test_options_beside_others(measure: Measure, given: tuple[str, ...]) -> None:
    """What another option takes the meaning from is refused before the server is asked."""
    message, hint = measure.refusal(NOWHERE, "-m", "m", *given)
    assert message == MEANINGLESS[given]
    assert hint


def test_the_plan() -> None:
    """Durations are seconds, percentages are parts, and milliseconds are seconds."""
    given = options(
        concurrency="2", duration="1m", warm_up="2s", timeout="3s", request_count=7,
        stability="10%", percentile=95.0, budget_ms=50.0, workers="1",
    )  # fmt: skip
    assert sweep_plan(given) == SweepPlan(
        profiles=[ClosedLoop(2)],
        duration_s=60.0,
        warm_up_s=2.0,
        timeout_s=3.0,
        max_requests=7,
        tolerance=0.1,
        percentile=95.0,
        limits=AnswerLimits(whole_s=0.05),
        most_workers=1,
    )
    assert first_workers(given) == 1


def test_the_default_plan() -> None:
    """By default a point is one window, judged by nothing."""
    plan = sweep_plan(options())
    assert (plan.tolerance, plan.percentile, plan.judged) == (None, None, 99.0)
    assert not plan.limits.any
    assert (plan.duration_s, plan.warm_up_s, plan.timeout_s, plan.most_workers) == (5, 1, 10, 1)


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Automatically there is one process at first, and the server keeps a core."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    four = options(workers="4")
    assert (first_workers(four), sweep_plan(four).most_workers) == (4, 4)
    auto = options(workers="auto")
    assert (first_workers(auto), sweep_plan(auto).most_workers) == (1, 7)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert sweep_plan(auto).most_workers == 1


def test_the_form_of_v2_requests() -> None:
    """What the requests carry, and how, is what the options say."""
    found = form(
        url="grpc://127.0.0.1:9", batch=3, shape=["x:3,4"], input_data=["zero"],
        string_data="s", seed=7, model_version="2", header=["A: b", "C:d : e "],
        request_parameter=["i:-1:int", "f:0.5:float", "b:TRUE:bool", "s:a:b:string"],
        streaming=True, shared_memory=MemoryKind.SYSTEM, output_shared_memory_size=9,
    )  # fmt: skip
    assert found.sources == ("zero",)
    assert (found.data.shapes, found.data.samples) == ({"x": (3, 4)}, 64 * 3)
    assert (found.data.string_length, found.data.string_data, found.data.seed) == (128, "s", 7)
    assert form(string_length=5).data.string_length == 5
    assert found.batch == 3
    assert (found.options.version, found.options.streaming) == ("2", True)
    assert found.options.headers == {"A": "b", "C": "d : e"}
    assert found.options.parameters == {"i": -1, "f": 0.5, "b": True, "s": "a:b"}
    assert (found.shared_memory, found.output_byte_size) == (MemoryKind.SYSTEM, 9)


def test_forms_over_http() -> None:
    """JSON and compression are those of the options."""
    json = TensorFormat.JSON
    found = form(input_tensor_format=json, compression=Compression.GZIP).options
    assert (found.json_inputs, found.json_outputs, found.compression) == (True, False, "gzip")
    found = form(output_tensor_format=json).options
    assert (found.json_inputs, found.json_outputs, found.compression) == (False, True, "")
    assert form().shared_memory is None


@pytest.mark.parametrize(
    ("text", "kind"), [("none", None), ("system", MemoryKind.SYSTEM), ("cuda", MemoryKind.CUDA)]
)
def test_shared_memory(text: str, kind: MemoryKind | None) -> None:
    """Its kind is one of the protocol's, or none."""
    context = MEASURE.make_context("", [NOWHERE, "--shared-memory", text])
    assert context.params["shared_memory"] is kind


def test_no_kind_of_shared_memory(measure: Measure) -> None:
    """What is none of them is refused with their names."""
    refused = measure.tuner("measure", NOWHERE, "--shared-memory", "disk")
    assert refused.status == 2
    assert "'disk' is not one of 'none', 'system', 'cuda'." in refused.err


def test_sequences() -> None:
    """Sequences have the number, the lengths and the ids of the options."""
    found = form(
        num_of_sequences=9, sequence_length=5, sequence_length_variation=50.0,
        sequence_id_range="10:20",
    )  # fmt: skip
    assert found.sequences == SequenceForm(count=9, length=5, variation=0.5, first_id=10, ids=10)
    assert form(sequence_id_range="7").sequences == SequenceForm(first_id=7)
    assert form().sequences == SequenceForm()


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("model", "-m"),
        ("model_version", "-x"),
        ("protocol", "-i"),
        ("batch", "-b"),
        ("header", "-H"),
        ("csv", "-f"),
        ("stability", "-s"),
        ("concurrency", "--concurrency-range"),
        ("rate", "--request-rate-range"),
        ("arrivals", "--request-distribution"),
        ("budget_ms", "--latency-threshold"),
        ("export", "--profile-export-file"),
    ],
)
def test_names_that_perf_analyzer_knows(name: str, flag: str) -> None:
    """Options are called what perf_analyzer calls them, too."""
    [found] = [each for each in MEASURE.params if each.name == name]
    assert flag in found.opts


def test_every_option_is_one_of_the_command() -> None:
    """The command has the options of the dataclass and no others."""
    names = {each.name for each in MEASURE.params}
    assert names - {"help"} == {each.name for each in fields(MeasureOptions)}


taken: list[object] = []
_take = taken.append


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What it does."""

    needed: Annotated[str, typer.Argument()]
    number: int = 3
    words: list[str] | None = field(default=None)


def test_a_command_that_takes_a_dataclass() -> None:
    """Each field is a parameter, with its annotation and its default."""
    made: Any = Command(f"{__name__}:_Options", f"{__name__}:_take").made("name")
    assert (made.name, made.help) == ("name", "What it does.")
    parameters = {each.name: each for each in made.params if each.name != "help"}
    assert list(parameters) == ["needed", "number", "words"]
    assert [each.required for each in parameters.values()] == [True, False, False]
    for arguments in (["x", "--number", "4"], ["y"]):
        made(arguments, standalone_mode=False)
    assert taken == [_Options(needed="x", number=4), _Options(needed="y", number=3, words=None)]
