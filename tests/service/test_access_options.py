"""What a job may use: each option of `tuner optimize`, and what is done with it."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tuner.cli.optimize_options import OptimizeOptions
from tuner.errors import InputError
from tuner.service.access.allowed import usable
from tuner.service.settings import Settings

PLAIN = "a number, a word of a list, or a text that leads nowhere"
FILE = "below a stated folder, or uploaded"
NAME = "a name of a model, which is no path"
STATED = "one that the service was started with"
TRUSTED = "refused without --allow-commands"
NONE = "no option of a job"

OPTIONS: Mapping[str, str] = {
    "budget_ms": PLAIN,
    "budget_ttft_ms": PLAIN,
    "budget_itl_ms": PLAIN,
    "model_file": FILE,
    "percentile": PLAIN,
    "timeout": PLAIN,
    "until": PLAIN,
    "server": "`command` is refused without --allow-commands",
    "model_repository": FILE,
    "model": f"{NAME}; with a space that serves one: {FILE}",
    "input": PLAIN,
    "variant": f"{NAME}; with model_file: {FILE}",
    "with_model": NAME,
    "tolerance": PLAIN,
    "space": "built in, or below a stated folder",
    "trials": PLAIN,
    "finalists": PLAIN,
    "confirmations": PLAIN,
    "objective": PLAIN,
    "sampler": PLAIN,
    "arrivals": PLAIN,
    "batch": PLAIN,
    "shape": PLAIN,
    "input_data": f"random, zero, or {FILE}",
    "string_length": PLAIN,
    "string_data": PLAIN,
    "request_parameter": PLAIN,
    "header": "`Name: value`, no `@FILE`; the value is in a private file until the job is over",
    "protocol": PLAIN,
    "num_of_sequences": PLAIN,
    "sequence_length": PLAIN,
    "sequence_length_variation": PLAIN,
    "sequence_id_range": PLAIN,
    "body": FILE,
    "content_type": PLAIN,
    "task": PLAIN,
    "prompt_tokens": f"a number, or a histogram {FILE}",
    "output_tokens": f"a number, or a histogram {FILE}",
    "prefix_share": PLAIN,
    "prompts": PLAIN,
    "dataset": FILE,
    "tokenizer": FILE,
    "whole_answers": PLAIN,
    "heed_eos": PLAIN,
    "extra": PLAIN,
    "runner": "docker needs a stated image, remote a stated address",
    "url": STATED,
    "port": "a usual one of servers, or one of a stated address of the same host",
    "image": STATED,
    "fleet": STATED,
    "group": PLAIN,
    "pull": "of a stated image",
    "memory": PLAIN,
    "shm_size": PLAIN,
    "cpu_quota": PLAIN,
    "gpus": PLAIN,
    "cap_add": TRUSTED,
    "ulimit": PLAIN,
    "mount": TRUSTED,
    "network": "`host` is refused without --allow-commands",
    "user": TRUSTED,
    "as_json": NONE,
    "engine_cpus": PLAIN,
    "server_cpus": PLAIN,
    "start_timeout": PLAIN,
    "warm_start": "a name of a study of the same database",
    "study": NONE,
    "db": NONE,
    "output": NONE,
    "retry": NONE,
    "detach": NONE,
    "notify": NONE,
    "notify_url": NONE,
    "seed": PLAIN,
    "service": NONE,
    "wait": NONE,
}
"""Each option, and what is done with it: who adds one says it here."""
_TO_COME = {"service", "wait"}


def test_it_is_known_of_each_option_what_is_done_with_it() -> None:
    """A new option fails here, until it is decided whether it leads anywhere."""
    there = {each.name for each in fields(OptimizeOptions)}

    assert there - OPTIONS.keys() == set()
    assert OPTIONS.keys() - there <= _TO_COME


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("models/a/x.onnx", "models/a/data.json", "b/y.onnx", "uploads/models/z.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "spaces").mkdir()
    (tmp_path / "spaces/mine.yaml").write_text("extends: triton\n")
    return Settings(
        database="",
        folder=tmp_path / "uploads",
        models=(tmp_path / "models", tmp_path / "b"),
        spaces=(tmp_path / "spaces",),
        images=("one:1", "two:2"),
        remotes=("http://Server:9000/", "http://server:9001", "http://[::1]:80"),
        fleets=("ray://head:10001",),
    )


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"model_file": "a/x.onnx"}, {"model_file": "models/a/x.onnx"}),
        ({"model_file": "y.onnx"}, {"model_file": "b/y.onnx"}),
        ({"model_file": "z.onnx"}, {"model_file": "uploads/models/z.onnx"}),
        ({"model_file": "./a/../a/x.onnx"}, {"model_file": "models/a/x.onnx"}),
        (
            {"model_file": "y.onnx", "variant": ["z.onnx"]},
            {"model_file": "b/y.onnx", "variant": ["uploads/models/z.onnx"]},
        ),
        ({"model_repository": "a"}, {"model_repository": "models/a"}),
        ({"input_data": ["random"]}, {"input_data": ["random"]}),
        ({"input_data": ["a/data.json"]}, {"input_data": ["models/a/data.json"]}),
        ({"body": ["a/data.json", "y.onnx"]}, {"body": ["models/a/data.json", "b/y.onnx"]}),
        ({"dataset": "a/data.json"}, {"dataset": "models/a/data.json"}),
        ({"tokenizer": "a"}, {"tokenizer": "models/a"}),
        ({"prompt_tokens": "normal:512:64"}, {"prompt_tokens": "normal:512:64"}),
        ({"space": "vllm", "model": "a"}, {"space": "vllm", "model": "models/a"}),
        ({"space": "triton_all"}, {"space": "triton_all"}),
        ({"space": "mine"}, {"space": "spaces/mine.yaml"}),
        ({"space": "mine.yaml"}, {"space": "spaces/mine.yaml"}),
    ],
)
def test_files_are_found_in_the_stated_folders(
    settings: Settings, tmp_path: Path, said: dict[str, Any], found: dict[str, Any]
) -> None:
    """With whole paths, as the job runs somewhere else; those of the service come first."""

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(each) for each in value]
        return str(tmp_path / value) if "/" in value else value

    assert usable(settings, said) == {name: whole(value) for name, value in found.items()}


@pytest.mark.parametrize(
    "said",
    [
        {"space": "vllm", "model": "org/name"},
        {"space": "vllm", "model": "/etc"},
        {"dataset": "/etc/passwd"},
        {"tokenizer": "/etc"},
        {"output_tokens": "histogram:/etc/passwd"},
    ],
)
def test_no_model_and_no_file_of_elsewhere(settings: Settings, said: dict[str, str]) -> None:
    """Neither what a server would download, nor what is not in a stated folder."""
    with pytest.raises(InputError, match="is no file or folder that jobs may use"):
        usable(settings, said)


def test_a_file_of_llama_cpp_is_a_model_file(settings: Settings) -> None:
    """The name of a file alone would be one of the folder that the service runs in."""
    with refused("`model` names no file of the service", "name one of its models: `model_file`"):
        usable(settings, {"server": "llama_cpp", "model": "x.gguf"})


def test_the_lengths_of_a_file(settings: Settings, tmp_path: Path) -> None:
    """A histogram is in a file of the stated folders."""
    found = usable(settings, {"prompt_tokens": "histogram:a/data.json"})
    assert found == {"prompt_tokens": f"histogram:{tmp_path}/models/a/data.json"}


def test_a_model_that_is_a_program(settings: Settings, tmp_path: Path) -> None:
    """A folder of weights may bring Python, which some servers run."""
    (tmp_path / "models/a/modeling.py").write_text("")
    with pytest.raises(InputError, match=r"the model is a program \(modeling.py: Python\)"):
        usable(settings, {"space": "infinity", "model": "a"})


def test_a_whole_path_within_a_stated_folder_is_one_of_it(
    settings: Settings, tmp_path: Path
) -> None:
    """As the options of an earlier job have it."""
    said = {"model_file": str(tmp_path / "b/y.onnx")}

    assert usable(settings, said) == said


@pytest.mark.parametrize(
    "said",
    [
        {"runner": "docker", "image": "one:1", "pull": True, "memory": "4g", "gpus": "all"},
        {"runner": "docker", "image": "two:2", "network": "bridge", "ulimit": ["memlock=-1"]},
        {"runner": "remote", "url": "http://server:9000"},
        {"runner": "remote", "url": "http://SERVER:9000/", "port": ["management=9001"]},
        {"runner": "remote", "url": "http://server:9001", "port": ["management=8081"]},
        {"runner": "remote", "url": "http://[::1]"},
        {"header": ["Authorization: Bearer x", "X-Empty:"]},
        {"fleet": "ray://head:10001", "group": "gpu-1"},
        {"budget_ms": 50.0, "trials": 10, "server_cpus": "0-1", "warm_start": ["night"]},
    ],
)
def test_what_was_stated_may_be_used(settings: Settings, said: dict[str, Any]) -> None:
    """As it was said."""
    assert usable(settings, said) == said


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            {"model_file": "nowhere.onnx"},
            "`nowhere.onnx` is no file or folder that jobs may use",
            "give a path relative to one of the folders: `models`, `b`, `models`",
        ),
        (
            {"space": "nowhere"},
            "`nowhere` is no search space that jobs may use",
            "give a path relative to one of the folders: `spaces`",
        ),
        (
            {"model": "a/b"},
            "`model`: `a/b` is no name of a model",
            "a name has no slash; name the folder with `model_repository`",
        ),
        (
            {"string_data": "a\nb"},
            r"`string_data`: `a\nb` has characters that nobody types, or too many",
            "use at most 4096, without line breaks and other control characters",
        ),
        ({"shape": 1001 * ["x:1"]}, "`shape` has 1001 values", "use at most 1000"),
        ({"db": "x"}, "`db` is no option of a job", "who runs the service says that"),
        *(
            (
                {"header": [text]},
                "`header`: 'Name: value' in printable ASCII was expected",
                "for example: `Authorization: Bearer TOKEN`",
            )
            for text in ("@/etc/passwd", "x", "a: b\nc: d", "a: \xe4", "a b: c", "")
        ),
        (
            {"image": "three:3"},
            "`image`: `three:3` is none that jobs may use",
            "those that the service was started with: `one:1`, `two:2`",
        ),
        (
            {"fleet": "auto"},
            "`fleet`: `auto` is none that jobs may use",
            "those that the service was started with: `ray://head:10001`",
        ),
        (
            {"url": "http://server:22"},
            "`url`: `http://server:22` is none that jobs may use",
            (
                "those that the service was started with: `http://Server:9000/`, "
                "`http://server:9001`, `http://[::1]:80`"
            ),
        ),
        (
            {"url": "http://server:9000", "port": ["management=22"]},
            "`port`: `management=22` is none that jobs may reach",
            "`tuner serve --remote http://server:PORT` allows another one for `management`",
        ),
        (
            {"runner": "docker", "image": "one:1", "cap_add": ["SYS_NICE"]},
            "`cap_add` makes a container more than a container",
            "start the service with `--allow-commands` if all who may run jobs are trusted",
        ),
    ],
)
def test_what_was_not_stated_is_refused(
    settings: Settings, said: dict[str, Any], message: str, hint: str
) -> None:
    """It is said what may be used."""
    with pytest.raises(InputError) as caught:
        usable(settings, said)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_without_folders_nothing_can_be_named(settings: Settings) -> None:
    """The hint says why."""
    bare = replace(settings, spaces=(), images=(), remotes=())
    with pytest.raises(InputError) as caught:
        usable(bare, {"space": "mine"})
    assert caught.value.hint == "the service was started without folders for a search space"

    with pytest.raises(InputError) as caught:
        usable(bare, {"url": "http://server:9000"})
    assert caught.value.hint == "the service was started without one: `--remote`"


def test_who_is_trusted_may_run_programs(settings: Settings) -> None:
    """With `--allow-commands`: models that are programs, and containers that are more."""
    trusting = replace(settings, allow_commands=True)
    (settings.models[0] / "a/x.pt").touch()

    assert usable(trusting, {"model_file": "a/x.pt"})
    assert usable(trusting, {"image": "one:1", "cap_add": ["SYS_NICE"], "network": "host"})
    with pytest.raises(InputError, match="none that jobs may use"):
        usable(trusting, {"image": "three:3"})


def test_only_the_models_that_a_job_loads_are_looked_at(
    settings: Settings, tmp_path: Path
) -> None:
    """Unless it is not known which these are: an ensemble asks others."""
    repository = tmp_path / "models/mixed"
    for name, configuration in (
        ("data", 'backend: "onnxruntime"'),
        ("code", 'backend: "python"'),
        ("both", 'platform: "ensemble" ensemble_scheduling { }'),
    ):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(configuration)

    def job(**options: Any) -> dict[str, Any]:
        return usable(settings, {"model_repository": "mixed", **options})

    assert job(model="data")["model"] == "data"
    for more in (
        {},
        {"model": "code"},
        {"model": "both"},
        {"model": "data", "variant": ["code"]},
        {"model": "data", "with_model": ["code"]},
        {"model": "data", "with_model": ["*"]},
        {"model": "data", "server": "torchserve"},
        {"model": "data", "space": "torchserve"},
        {"model": "nowhere"},
    ):
        with pytest.raises(InputError, match=r"the model is a program \(.*the backend `python`"):
            job(**more)
