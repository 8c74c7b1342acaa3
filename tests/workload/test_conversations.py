"""Conversations: what each turn carries, and how long users think before it."""

import numpy as np
import pytest

from tuner.workload.conversations import Conversation, Turn, with_pauses
from tuner.workload.prompts import SERIAL, Message

TURNS = (
    Turn(question="who?", answer="me", output_tokens=7),
    Turn(question="why?", answer="so", output_tokens=8, pause_s=1.5),
    Turn(question="when?"),
)


def test_a_turn_has_all_before_it() -> None:
    """The recorded answers stand for those of the server; the number makes it one of its own."""
    system = Message("system", "be kind")
    *_, last = Conversation(turns=TURNS, before=(system,)).prompts()
    assert last.messages == (
        system,
        Message("user", f"{SERIAL} who?"),
        Message("assistant", "me"),
        Message("user", "why?"),
        Message("assistant", "so"),
        Message("user", "when?"),
    )
    lengths = [each.output_tokens for each in Conversation(turns=TURNS).prompts()]
    assert lengths == [7, 8, 0]


def test_pauses() -> None:
    """Recorded ones stay, others are drawn by the seed, and nobody thinks before the beginning."""
    many = [Conversation(turns=TURNS)] * 2000
    paused = with_pauses(many, 2.0, seed=3)
    assert {each.turns[0].pause_s for each in paused} == {0.0}
    assert {each.turns[1].pause_s for each in paused} == {1.5}
    drawn = [each.turns[2].pause_s for each in paused]
    assert np.mean(drawn) == pytest.approx(2.0, rel=0.1)
    assert np.std(drawn) == pytest.approx(2.0, rel=0.15)
    assert drawn == [each.turns[2].pause_s for each in with_pauses(many, 2.0, seed=3)]
    assert {each.turns[2].pause_s for each in with_pauses(many, 0.0, seed=3)} == {0.0}
