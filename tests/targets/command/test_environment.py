"""What a server of one's own has in its environment, as a process and in its script."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runner_tests.contract import SCRIPT
from tests.targets.command.test_target import WISHES, served
from tests.targets.served import Served
from tuner.space.settings import EnvironmentVariables
from tuner.targets.base import TargetSetup
from tuner.targets.command.target import CommandTarget
from tuner.targets.request_form import RequestForm


class TestEnvironment:
    def test_of_a_process(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server has the person's variables, but for those that a parameter sets."""
        monkeypatch.setenv("HF_TOKEN", "secret")
        monkeypatch.setenv("MKL_NUM_THREADS", "7")
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        monkeypatch.setenv("MODEL", "mine")
        monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
        facts = tmp_path / "facts"
        wishes = json.dumps({**WISHES, "write_facts": str(facts)})
        mine = served(tmp_path, command=[sys.executable, "-I", "-S", str(SCRIPT), wishes])
        arenas = replace(mine.space["omp"], name="arenas", sets=_ARENAS)
        space = replace(mine.space, parameters=(*mine.space.parameters, arenas))
        setup = TargetSetup(workspace=tmp_path, form=RequestForm())
        target = CommandTarget.of(mine.target._model, space, setup)
        with Served(target, space, tmp_path).deployment() as deployment:
            deployment.apply(space.activate({"omp": 2}))
            found = json.loads(facts.read_text())["environment"]
        assert (found["HF_TOKEN"], found["MKL_NUM_THREADS"]) == ("secret", "7")
        assert (found["OMP_NUM_THREADS"], found["MODEL"]) == ("2", "m1")
        assert "MALLOC_ARENA_MAX" not in found  # at `omit`, nobody sets it

    def test_of_the_script(self, tmp_path: Path) -> None:
        """What is handed over takes out the same variables."""
        mine = served(tmp_path)
        sets = replace(mine.space["omp"], sets=_ARENAS)
        others = (p for p in mine.space.parameters if p.name != "omp")
        space = replace(mine.space, parameters=(*others, sets))
        setup = TargetSetup(workspace=tmp_path, form=RequestForm())
        target = CommandTarget.of(mine.target._model, space, setup)
        assert "unset MALLOC_ARENA_MAX\n" in target.export(space.defaults)
        other = target.export(space.activate({"omp": 2}))
        assert "unset" not in other
        assert "export MALLOC_ARENA_MAX=2\n" in other


_ARENAS = EnvironmentVariables(("MALLOC_ARENA_MAX",), omit=1)
