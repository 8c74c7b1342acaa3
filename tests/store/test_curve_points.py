"""The load points of a study as charts need them, and what all of them say of tokens."""

import math
from pathlib import Path

from tests.report import studies
from tests.report.token_studies import TOKENS, token_study
from tests.store.test_storage import stored
from tuner.analysis import token_figures
from tuner.store.curve_points import curve_points, tokens_per_answer
from tuner.store.storage import Storage


def test_of_a_language_model(tmp_path: Path) -> None:
    """The database counts as many tokens in an answer as the load points have."""
    chat = token_study()
    with Storage(str(stored(tmp_path / "studies.db", chat))) as storage:
        found = curve_points(storage, chat, limit=3)
        tokens = tokens_per_answer(storage, storage.study(chat.name, brief=True))

    assert [each.tokens_per_s for each in found] == [TOKENS * each.throughput for each in found]
    assert math.isclose(tokens, TOKENS)
    assert math.isclose(token_figures.tokens_per_answer(chat.trials), TOKENS)


def test_of_others(tmp_path: Path) -> None:
    """Where answers are not made of tokens, and where nothing was measured, there is no number."""
    night, empty = studies.night(), studies.study(name="empty")
    with Storage(str(stored(tmp_path / "studies.db", night, empty))) as storage:
        assert all(math.isnan(each.tokens_per_s) for each in curve_points(storage, night, limit=3))
        assert math.isnan(tokens_per_answer(storage, night))
        assert math.isnan(tokens_per_answer(storage, empty))
    assert math.isnan(token_figures.tokens_per_answer(night.trials))
    assert not token_figures.makes_tokens(empty.trials)
