"""The example of a slow server in docs/: a stand-in for a language model.

Its answers are shorter here, so that the study is; they take a third of a second all the same.
"""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.end_to_end.command import Finished, tuner

PAGE = Path(__file__).parents[2] / "docs" / "servers" / "slow_server.md"
STUDY = "completions"
LONG, SHORT = "WORDS = 40\n", "WORDS = 2\n"


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    """The study of the page, of a smaller budget, which is over once the first hint was tried."""
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert LONG in blocks["python"]
    (folder / "completions.py").write_text(blocks["python"].replace(LONG, SHORT))
    (folder / "completions.yaml").write_text(blocks["yaml"])
    budget = ("--budget-ms", "600", "--percentile", "95")
    arguments = ("optimize", "--space", "completions.yaml", *budget, "--seed", "3")
    short = ("--trials", "2", "--timeout", "9m", "--confirmations", "0")
    with pytest.MonkeyPatch.context() as patch:
        # As in an environment that was activated: `python` is its own.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        return tuner(*arguments, *short, "--study", STUDY, "--json", folder=folder, timeout_s=600)


def test_a_server_whose_answers_take_seconds_is_tuned(optimized: Finished) -> None:
    """Answers that take long: measured, compared and recommended like any other."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    baseline, hint = content["trials"]
    assert {trial["state"] for trial in content["trials"]} == {"feasible"}
    assert 340 < baseline["unloaded_ms"] < 600
    assert baseline["verdicts"] == {"slots": "confirmed", "warm_cache": "accepted"}
    assert content["winner"]["configuration"] == {"slots": 16, "warm_cache": True}
    assert hint["throughput"] > 2 * baseline["throughput"] > 0


def test_ids_and_times_are_not_compared(optimized: Finished, folder: Path) -> None:
    """What differs each time is named while the study runs, in its report and with its winner."""
    left_out = ["answer.created", "answer.id"]
    assert optimized.json["comparison"] == {
        "compare": None,
        "left_out": left_out,
        "nothing_left": False,
    }
    said = "from one answer of the baseline to the next: `answer.created`, `answer.id`."
    assert said in optimized.err
    assert said in tuner("best", STUDY, folder=folder).err
    assert "answer.created" in (folder / "reports" / STUDY / "report.html").read_text()


def test_the_winner_is_a_script(optimized: Finished, folder: Path) -> None:
    """What is handed over starts the server with the winner's switches."""
    assert optimized.status == 0, optimized.err
    script = (folder / "reports" / STUDY / "serve.sh").read_text()
    assert "--slots 16 --warm-cache=true" in script
