"""What the commands that read the database say of a language model."""

from pathlib import Path

import pytest

from tests.command_line import Tuner
from tests.report.token_studies import TOKENS, token_study, too_slow
from tests.store.test_storage import stored
from tuner.goals import SearchBudget
from tuner.store.events import EventKind
from tuner.store.ownership import held
from tuner.store.storage import Storage


@pytest.fixture(autouse=True)
def database(folder: Path) -> Path:
    """`studies.db` with a study within its limits, and one that has none."""
    slow = too_slow()
    return stored(
        folder / "studies.db",
        token_study(name="chat"),
        token_study(slow.trials, name="slow"),
    )


def test_pareto(tuner: Tuner) -> None:
    """Beside the front of requests there are those of tokens, which other trials are on."""
    text, content = tuner.both("pareto", "chat")

    assert "Output tokens per second against the time to the first token (p99)" in text
    assert set(content["tokens"]) == {"speed", "ttft_ms"}
    assert 2 in {row["trial"] for row in content["tokens"]["ttft_ms"]}
    assert 2 not in {row["trial"] for row in content["load_points"]}


def test_status(tuner: Tuner) -> None:
    """The best so far, of a study that was read without its load points."""
    text, content = tuner.both("status", "chat")

    assert "12.0 requests/s (384 output tokens/s)" in text
    assert (content["unit"], content["tokens_per_answer"]) == ("requests/s", TOKENS)
    assert content["limits_ms"] == {"ttft": 200, "itl": 20}


def test_attach(tuner: Tuner) -> None:
    """Trials that are read without their load points are in the unit of the study, too."""
    limits = SearchBudget().as_record()
    with Storage("studies.db") as storage, held(storage, "chat", limits=limits) as hold:
        hold.record(EventKind.TRIAL_ENDED, {}, trial=0)
    told = tuner("attach", "chat").err

    assert "trial 0 (baseline): feasible, 5.00 requests/s, " in told
    assert "inferences/s" not in told


def test_compare(tuner: Tuner) -> None:
    """The document says the unit of its throughputs."""
    _, content = tuner.both("compare", "chat", "slow")

    [found] = content["comparisons"]
    assert (found["first"]["unit"], found["other"]["unit"]) == ("requests/s", "requests/s")


def test_status_of_what_is_over_the_limits(tuner: Tuner) -> None:
    """It says how far the nearest is, in units of the limits."""
    text, content = tuner.both("status", "slow")

    assert "p99 = 1.25x the limit of TTFT or ITL without load" in " ".join(text.split())
    assert content["nearest"]["times"] == ["TTFT", "ITL"]


def test_capacity(tuner: Tuner) -> None:
    """Replicas for requests, beside which stand the output tokens of that many answers."""
    text, content = tuner.both("capacity", "chat", "--demand", "100")

    assert "100 requests/s (3,200 output tokens/s) within p99 <= TTFT 200 ms" in text
    [budget] = content["latency_budgets"]
    assert budget["studies"][0]["output_tokens_per_request"] == TOKENS


def test_best(tuner: Tuner) -> None:
    """The study's own winner has its tokens; other limits are in proportion, as is said."""
    own = tuner("best", "chat", "--json").json
    other = tuner("best", "chat", "--budget-ms", "300")

    assert own["tokens"]["output_per_s"] == pytest.approx(TOKENS * 12 * 0.99)
    assert other.err.startswith("p99 <= TTFT 300 ms, ITL 30 ms: at least 12.6 requests/s (403 ")
    assert "--budget-ttft-ms 300 --budget-itl-ms 30 " in f"{other.err} "
