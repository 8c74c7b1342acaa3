"""The example of MLServer in docs/, as it stands there: a server that no code of ours knows."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.end_to_end.command import EASY, tuner

PAGE = Path(__file__).parents[2] / "docs" / "servers" / "mlserver.md"
# An environment of its own, made by `make develop`.
PROGRAMS = Path(sys.prefix) / "mlserver" / "bin"


def test_mlserver_is_tuned_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A V2 server from its own wheel is started, measured and recommended by a space file."""
    if not (PROGRAMS / "mlserver").exists():
        pytest.skip(f"{PROGRAMS} has no MLServer: make develop")
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    (tmp_path / "model.py").write_text(blocks["python"])
    (tmp_path / "mlserver.yaml").write_text(blocks["yaml"])
    x = {"name": "x", "datatype": "FP64", "shape": [1, 256], "data": [0.5] * 256}
    (tmp_path / "request.json").write_text(json.dumps({"id": "1", "inputs": [x]}))
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")

    finished = tuner(
        *("optimize", "--space", "mlserver.yaml", *EASY, "--seed", "3"),
        *("--trials", "2", "--timeout", "10m", "--confirmations", "0", "--study", "dense"),
        "--json",
        folder=tmp_path,
    )

    assert finished.status == 0, finished.err
    content = finished.json
    assert [trial["state"] for trial in content["trials"]].count("failed") == 0
    assert content["winner"]["throughput"] > 0
    assert "mlserver start" in (tmp_path / "reports" / "dense" / "serve.sh").read_text()
