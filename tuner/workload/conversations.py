"""Conversations of several turns: each turn is asked with all that was said before it.

What stands for the answers to earlier turns is what was recorded, or made up: not what the server
under test has said. So every run, and every configuration, is asked the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuner.workload.prompts import SERIAL, Message, Prompt


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A question, and the answer with which the conversation goes on.

    Attributes:
        question: What the user says.
        answer: What stands for the answer in the turns after this one.
        output_tokens: How many tokens the server's answer may have; 0: its own limit.
        pause_s: How long the user reads and thinks before it; NaN: nobody has said it.
    """

    question: str
    answer: str = ""
    output_tokens: int = 0
    pause_s: float = np.nan


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Its turns, and what stands `before` them, such as a system prompt."""

    turns: tuple[Turn, ...]
    before: tuple[Message, ...] = ()

    def prompts(self) -> Iterator[Prompt]:
        """One for each turn; the first question begins with the conversation's serial number."""
        said = list(self.before)
        for number, turn in enumerate(self.turns):
            question = turn.question
            if not number and SERIAL not in question:
                question = f"{SERIAL} {question}"
            said.append(Message("user", question))
            yield Prompt(messages=tuple(said), output_tokens=turn.output_tokens, unique=True)
            said.append(Message("assistant", turn.answer))

    @property
    def longest(self) -> Prompt:
        """Its last turn, which carries all the others."""
        *_, last = self.prompts()
        return last


def with_pauses(
    conversations: Sequence[Conversation], mean_s: float, *, seed: int
) -> list[Conversation]:
    """With pauses where none was recorded, exponential ones of that mean; none before the first.

    Many users who think for the same time would ask in step.
    """
    random = np.random.default_rng(seed)

    def paused(number: int, turn: Turn) -> Turn:
        drawn_s = float(random.exponential(mean_s)) if mean_s else 0.0
        pause_s = drawn_s if np.isnan(turn.pause_s) else turn.pause_s
        return replace(turn, pause_s=pause_s if number else 0.0)

    return [
        replace(each, turns=tuple(paused(n, turn) for n, turn in enumerate(each.turns)))
        for each in conversations
    ]
