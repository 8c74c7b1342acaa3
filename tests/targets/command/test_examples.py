"""The examples of servers in docs/ that only a file starts: each is started, proved and asked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.targets.served import Served
from tuner.records import Grade
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import resolve
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.command.model import open_model
from tuner.targets.command.prompted import target_of
from tuner.targets.command.target import CommandTarget
from tuner.targets.request_form import RequestForm

DOCS = Path(__file__).parents[3] / "docs" / "servers"
# An environment of its own, made by `make develop`.
PROGRAMS = Path(sys.prefix) / "servers" / "bin"


def example(name: str, folder: Path) -> Served[CommandTarget]:
    """The target that a page describes, with its files in `folder`."""
    page = (DOCS / f"{name}.md").read_text()
    program = re.search(r"This `(\w+\.py)`", page)
    assert program
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", page, re.DOTALL))
    (folder / program[1]).write_text(blocks["python"])
    file = folder / f"{name}.yaml"
    file.write_text(blocks["yaml"])
    made = re.search(r"^python -c '(.*)' > request\.json", page, re.MULTILINE)
    assert made
    request = subprocess.run([sys.executable, "-c", made[1]], capture_output=True, check=True)
    (folder / "request.json").write_bytes(request.stdout)
    read = spec.load_space(file)
    model = open_model(ModelSource(serve=read.serve, space_file=file))
    space = model.adapt(resolve(read, {"cores": 2}), contained=False)
    setup = TargetSetup(workspace=folder, form=RequestForm(), start_timeout_s=60.0)
    return Served(target_of(model, space, setup), space, folder)


@pytest.mark.parametrize(
    ("name", "values", "grades"),
    [
        ("litserve", {"workers": 2, "threads": 1}, {"workers": Grade.CONFIRMED}),
        ("bentoml", {"workers": 2, "threads": 1}, {}),
    ],
)
def test_the_example(
    name: str,
    values: dict[str, Value],
    grades: dict[str, Grade],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server of the page starts with other settings, shows them, and answers the request."""
    if not (PROGRAMS / "python").exists():
        pytest.skip(f"{PROGRAMS} has no LitServe and BentoML: make develop")
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    mine = example(name, tmp_path)
    configuration = mine.configuration(**values)
    with mine.deployment() as deployment:
        deployment.apply(configuration)
        verdicts = mine.target.verify(deployment.server, configuration)
        [outputs] = mine.target.infer(deployment.server)
    assert {n: verdicts[n].grade for n in grades} == grades
    assert Grade.REFUTED not in {verdict.grade for verdict in verdicts.values()}
    assert sum(len(tensor.data) for tensor in outputs) == 256 * 8
