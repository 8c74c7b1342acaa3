"""Prompts that are made up: their lengths, what they share, and that none is like another."""

from dataclasses import replace

import numpy as np
import pytest

from tests.workload.words import Letters
from tuner.workload.lengths import Constant, Uniform
from tuner.workload.prompts import SERIAL
from tuner.workload.synthetic import SyntheticForm, synthetic_conversations, synthetic_prompts
from tuner.workload.tokenizers import Estimate

FORM = SyntheticForm(prompt=Uniform(60, 400), output=Uniform(5, 50), count=20)


def test_lengths_are_right_to_a_word() -> None:
    """By whatever counts: letters here, words there."""
    for tokenizer, word in ((Letters(), 8), (Estimate(), 0)):
        form = SyntheticForm(prompt=Constant(300), output=Constant(9), count=10)
        prompts = synthetic_prompts(form, tokenizer)
        for prompt in prompts:
            [count] = tokenizer.counts([prompt.text])
            assert 300 - word <= count <= 300
        assert {prompt.output_tokens for prompt in prompts} == {9}


def test_lengths_are_drawn() -> None:
    """Of both, and apart from each other."""
    prompts = synthetic_prompts(FORM, Letters())
    assert len({len(prompt.text) for prompt in prompts}) > 10
    assert len({prompt.output_tokens for prompt in prompts}) > 10


def test_a_seed_says_all() -> None:
    """The same seed, the same prompts; another one, others."""
    assert synthetic_prompts(FORM, Letters()) == synthetic_prompts(FORM, Letters())
    other = SyntheticForm(prompt=FORM.prompt, output=FORM.output, count=20, seed=1)
    texts = {prompt.text for prompt in synthetic_prompts(other, Letters())}
    assert texts.isdisjoint(prompt.text for prompt in synthetic_prompts(FORM, Letters()))


def test_no_prompt_begins_like_another() -> None:
    """Each begins with the place of its serial number."""
    prompts = synthetic_prompts(FORM, Letters())
    assert all(prompt.text.startswith(f"{SERIAL} ") and prompt.unique for prompt in prompts)
    assert len({prompt.text for prompt in prompts}) == 20


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_shared_beginning(share: float) -> None:
    """It is that part of each prompt, and stands before what is its own."""
    form = SyntheticForm(prompt=Constant(400), output=Constant(5), shared=share, count=8)
    texts = [prompt.text for prompt in synthetic_prompts(form, Letters())]
    [common] = {text.partition(SERIAL)[0] for text in texts}
    assert len(common) == pytest.approx(share * 400, abs=9)
    assert len(set(texts)) == (1 if share == 1 else 8)


def test_a_shared_beginning_of_prompts_of_many_lengths() -> None:
    """It is that part of each of them, and the longer ones begin as the shorter ones do."""
    lengths, _ = FORM.lengths(np.random.default_rng(FORM.seed))
    prompts = synthetic_prompts(replace(FORM, shared=0.5), Letters())
    begins = [prompt.text.partition(SERIAL)[0] for prompt in prompts]
    for length, begin in zip(lengths, begins, strict=True):
        assert len(begin) == pytest.approx(length / 2, abs=9)
    assert all(max(begins, key=len).startswith(begin) for begin in begins)


def test_a_prompt_that_is_shorter_than_its_serial_number() -> None:
    """It is the number alone."""
    form = SyntheticForm(prompt=Constant(3), output=Constant(5), count=2)
    assert {prompt.text for prompt in synthetic_prompts(form, Letters())} == {SERIAL}


def test_conversations() -> None:
    """Each turn has all before it, made-up answers among it; only the first has the number."""
    form = SyntheticForm(prompt=Constant(80), output=Constant(30), count=3)
    conversations = synthetic_conversations(form, Uniform(2, 5), Letters())
    assert len(conversations) == 3
    for each in conversations:
        prompts = list(each.prompts())
        assert 2 <= len(prompts) <= 5
        for number, prompt in enumerate(prompts):
            roles = [message.role for message in prompt.messages]
            assert roles == ["user", "assistant"] * number + ["user"]
            assert (prompt.output_tokens, prompt.unique) == (30, True)
            assert prompt.text.count(SERIAL) == 1
        last = prompts[-1].messages
        assert last[: len(prompts[0].messages)] == prompts[0].messages
        # A made-up text may be too long by a part of a word.
        assert all(len(each.text) + 9 >= 80 for each in last if each.role == "user")
        assert all(len(each.text) < 60 for each in last if each.role == "assistant")
