"""Flags without a value, lists and repeated flags: as a real argparse server understands them."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from runners.ports import choose_free_ports
from tests.runner_tests.waiting import wait_until
from tests.targets.served import Served
from tuner.errors import SpaceError
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import resolve
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.command.model import open_model
from tuner.targets.command.target import CommandTarget
from tuner.targets.request_form import RequestForm

SERVER = Path(__file__).with_name("switches.py")
TEXT = """
server: command
serve:
  command: [{python}, -I, -S, {server}, --port, "{{port:http}}",
            "{{{{ '--quantization=' ~ quantization if quantization != 'none' }}}}",
            "{{% if sizes %}}--sizes{{% endif %}}", "{{{{ sizes | words }}}}"]
  request: {{path: /}}
parameters:
  quantization:
    {{type: categorical, choices: [none, int8], default: none, sets: {{template: quantization}}}}
  sizes: {{type: categorical, choices: ["", "1 8"], default: "", sets: {{template: sizes}}}}
  eager: {{type: boolean, default: false, sets: {{flag: --eager, form: switch}}}}
  log: {{type: boolean, default: true, sets: {{flag: /--no-access-log}}}}
  cache:
    {{type: boolean, default: false, sets: {{flag: --prefix-caching/--no-prefix-caching}}}}
  sparse: {{type: boolean, default: false, sets: {{flag: --sparse}}}}
  level: {{type: int, low: 0, high: 3, default: 0, sets: {{flag: --level, form: words, omit: 0}}}}
  lora:
    type: categorical
    choices: ["", "a=1 'b c'"]
    default: ""
    sets: {{flag: --lora, form: repeat}}
  collector:
    {{type: boolean, default: true, sets: {{flag: "-XX:+UseG1GC/-XX:-UseG1GC"}}}}
"""
BASELINE = {
    "eager": False,
    "no_access_log": False,
    "prefix_caching": False,
    "sparse": "false",
    "sizes": None,
    "lora": None,
    "level": 0,
    "quantization": None,
    "rest": [],
    "java": ["-XX:+UseG1GC"],
}
OTHER: dict[str, Value] = {
    "quantization": "int8",
    "sizes": "1 8",
    "eager": True,
    "log": False,
    "cache": True,
    "sparse": True,
    "level": 2,
    "lora": "a=1 'b c'",
    "collector": False,
}
UNDERSTOOD = {
    "eager": True,
    "no_access_log": True,
    "prefix_caching": True,
    "sparse": "true",
    "sizes": [1, 8],
    "lora": ["a=1", "b c"],
    "level": 2,
    "quantization": "int8",
    "rest": [],
    "java": ["-XX:-UseG1GC"],
}


def served(folder: Path) -> Served[CommandTarget]:
    """The target of the server that the text describes."""
    file = folder / "switches.yaml"
    file.write_text(TEXT.format(python=json.dumps(sys.executable), server=json.dumps(str(SERVER))))
    read = spec.load_space(file)
    model = open_model(ModelSource(serve=read.serve, space_file=file))
    space = model.adapt(resolve(read, {"cores": 2}), contained=False)
    setup = TargetSetup(workspace=folder, form=RequestForm(), start_timeout_s=20.0)
    return Served(CommandTarget.of(model, space, setup), space, folder)


def told(port: int) -> dict[str, Any]:
    """What the server understood; nothing while it does not listen."""
    with suppress(httpx.HTTPError):
        understood: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).json()
        del understood["port"]
        return understood
    return {}


@pytest.mark.parametrize(("values", "expected"), [({}, BASELINE), (OTHER, UNDERSTOOD)])
def test_what_the_server_understands(
    tmp_path: Path, values: dict[str, Value], expected: dict[str, Any]
) -> None:
    """Every form arrives as it was meant, at either value, when the target starts the server."""
    mine = served(tmp_path)
    with mine.deployment() as deployment:
        deployment.apply(mine.configuration(**values))
        assert told(deployment.server.ports["http"]) == expected


def test_the_exported_script_says_the_same(tmp_path: Path) -> None:
    """What is handed over starts the server with the same switches, without a shell's mistakes."""
    mine = served(tmp_path)
    script = tmp_path / "serve.sh"
    script.write_text(mine.target.export(mine.configuration(**OTHER)))
    [port] = choose_free_ports(["http"]).values()
    with subprocess.Popen(["sh", str(script)], env={"PORT_HTTP": str(port)}) as process:
        try:
            wait_until(lambda: bool(told(port)))
            assert told(port) == UNDERSTOOD
        finally:
            process.terminate()


def test_items_that_are_nothing(tmp_path: Path) -> None:
    """A template that is nothing is no argument; a text that was written as nothing stays one."""
    command = ["{{ '' }}", "run", "", "{% if fast %}--fast{% endif %}", "{{ words | words }}", "."]
    file = tmp_path / "a.yaml"
    parameters = {
        "fast": {"type": "boolean", "default": False, "sets": {"template": "fast"}},
        "words": {
            "type": "categorical",
            "choices": ["", "'a b' c"],
            "default": "",
            "sets": {"template": "words"},
        },
    }
    serve = {
        "command": command,
        "request": {"path": "/"},
        "environment": {"WORDS": "{{ words | words }}"},
    }
    file.write_text(json.dumps({"server": "command", "serve": serve, "parameters": parameters}))
    read = spec.load_space(file)
    model = open_model(ModelSource(serve=read.serve, space_file=file))
    space = model.adapt(resolve(read, {}), contained=False)
    filled = model.filled(space, space.defaults)
    assert (filled.command, filled.environment) == (("run", "", "."), {"WORDS": ""})
    filled = model.filled(space, space.activate({"fast": True, "words": "'a b' c"}))
    assert filled.command == ("run", "", "--fast", "a b", "c", ".")
    assert filled.environment == {"WORDS": "a b c"}


def test_a_typing_error_in_a_condition(tmp_path: Path) -> None:
    """What is left out is only an `if` without an `else`: a name that is not there is refused."""
    file = tmp_path / "a.yaml"
    file.write_text(
        "server: command\n"
        "serve: {command: [run, \"{{ '--fast' if fest }}\"], request: {path: /}}\n"
        "parameters: {fast: {type: boolean, default: false, sets: {template: fast}}}\n"
    )
    read = spec.load_space(file)
    model = open_model(ModelSource(serve=read.serve, space_file=file))
    with pytest.raises(SpaceError, match=r"serve.command\[1\]: .*'fest' is undefined"):
        model.adapt(resolve(read, {}), contained=False)
