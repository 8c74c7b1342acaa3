"""Traces: when requests come, how long they are, and which of them begin alike."""

import json
import math
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tests.workload.words import Letters
from tuner.workload.prompts import SERIAL
from tuner.workload.traces import Trace, TracedRequest, read_trace, traced_prompts

HINT = (
    'one JSON document in each line, such as {"timestamp": 3000, "input_length": 6758, '
    '"output_length": 500, "hash_ids": [0, 1]}, with milliseconds that do not fall'
)


def line(timestamp: float, tokens: int, ids: Sequence[int] | None = None, **more: Any) -> str:
    lengths = {"input_length": tokens, "output_length": 5}
    shared = {} if ids is None else {"hash_ids": ids}
    return json.dumps({"timestamp": timestamp, **lengths, **shared, **more})


def alike(one: str, other: str) -> str:
    """What both begin with."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in pairs)


def trace(folder: Path, *lines: str) -> Trace:
    path = folder / "trace.jsonl"
    path.write_text("\n".join(lines) + "\n\n")
    return read_trace(path)


def test_a_trace(tmp_path: Path) -> None:
    """Milliseconds become seconds since the first request."""
    found = trace(tmp_path, line(3000, 600, [1, 2]), line(3500, 40, [1]), line(4500, 1))
    assert found.block_tokens == 512
    assert found.requests == (
        TracedRequest(at_s=0.0, prompt_tokens=600, output_tokens=5, blocks=(1, 2)),
        TracedRequest(at_s=0.5, prompt_tokens=40, output_tokens=5, blocks=(1,)),
        TracedRequest(at_s=1.5, prompt_tokens=1, output_tokens=5),
    )
    assert found.intervals_s == (0.0, 0.5, 1.0)
    assert found.length_s == pytest.approx(1.5 + 0.75)


def test_texts_in_a_trace(tmp_path: Path) -> None:
    """They may have what Unicode takes for an end of a line."""
    noted = line(0, 5, note="a|b").replace("|", "\N{LINE SEPARATOR}")
    assert len(trace(tmp_path, noted, line(1, 5)).requests) == 2


def test_what_is_played(tmp_path: Path) -> None:
    """Faster first, and then so long, or so many."""
    whole = trace(tmp_path, *(line(1000 * n, 10) for n in range(10)))
    assert [each.at_s for each in whole.played(speed=2.0, most_s=1.5).requests] == [0, 0.5, 1.0]
    assert len(whole.played(speed=0.5, most=4).requests) == 4
    assert len(whole.played(speed=1.0).requests) == 10


@pytest.mark.parametrize("size", [512, 64, 16])
def test_sizes_of_blocks(tmp_path: Path, size: int) -> None:
    """They follow from the lengths and the numbers of ids."""
    lines = (line(n, n * size + 1, list(range(n + 1))) for n in range(1, 5))
    assert trace(tmp_path, *lines).block_tokens == size


def test_prompts_that_begin_alike(tmp_path: Path) -> None:
    """As far as their ids are the same, so are their texts; a serial number stands before all."""
    lines = [line(0, 2048, [1, 2, 3, 4]), line(1, 1536, [1, 2, 9]), line(2, 512, [1])]
    found = trace(tmp_path, *lines, line(3, 700), line(4, 700))
    prompts = traced_prompts(found, Letters())
    texts = [prompt.text for prompt in prompts]
    assert all(text.startswith(f"{SERIAL} ") for text in texts)
    assert all(prompt.unique and prompt.output_tokens == 5 for prompt in prompts)
    lengths = [len(text) for text in texts]
    assert lengths == pytest.approx([2048, 1536, 512, 700, 700], rel=0.25)
    shared = [alike(texts[0], other) for other in texts[1:]]
    assert len(shared[0]) == pytest.approx(1024, rel=0.25)
    assert len(shared[1]) > 400
    assert max(len(each) for each in shared[2:]) < 30
    assert texts[3] != texts[4]
    assert texts == [prompt.text for prompt in traced_prompts(found, Letters())]


def test_a_prompt_that_is_shorter_than_its_serial_number(tmp_path: Path) -> None:
    """It is the number alone."""
    found = trace(tmp_path, line(0, 3), line(1, 3, [7]))
    assert [each.text for each in traced_prompts(found, Letters())] == [SERIAL, SERIAL]


def test_too_much_to_keep() -> None:
    """Requests are prepared, and so a part of a long trace is played."""
    request = TracedRequest(at_s=0.0, prompt_tokens=1_000_000, output_tokens=5)
    message = "the prompts of the trace have 101,000,000 tokens, more than 100,000,000"
    hint = "play a part of it: give `--duration` or `--request-count`"
    with refused(message, hint):
        traced_prompts(Trace((request,) * 101, 512), Letters())


@pytest.mark.parametrize(
    "bad",
    [
        *("{", "5", "{}", line(-1, 5), line(0, 0), line(float("nan"), 5)),
        *(line(0, 5, hash_ids=["x"]), line(0, 5, output_length=0), line(0, 5, output_length=None)),
        *(line(0, 10**9), line(0, 5, [-1]), line(10**400, 5), line(math.inf, 5)),
        *(line(0, 5, input_length=math.inf), line(0, 5, output_length=math.inf)),
        *(line(0, 5, hash_ids=[math.inf]), pytest.param("[" * 100_000, id="deep")),
    ],
)
def test_no_request_of_a_trace(tmp_path: Path, bad: str) -> None:
    """It is said in which line; the time must not fall either."""
    message = f"`--trace {tmp_path / 'trace.jsonl'}`, line 2 is no request of a trace"
    with refused(message, HINT):
        trace(tmp_path, line(0, 5), bad)
    with refused(message, HINT):
        trace(tmp_path, line(7, 5), line(6, 5))


def test_blocks_that_fit_no_size(tmp_path: Path) -> None:
    """They could stand for any part of the prompt."""
    path = tmp_path / "trace.jsonl"
    with refused(
        f"`--trace {path}`: the lengths of its `hash_ids` fit no size of blocks",
        "each of them stands for as many tokens of the prompt, one of 512, 256, 128, 64, 32, 16",
    ):
        trace(tmp_path, line(0, 1000, [1]), line(1, 1000, [1, 2]))


def test_files_that_are_none(tmp_path: Path) -> None:
    """Missing, or no text."""
    path = tmp_path / "trace.jsonl"
    with refused(f"`--trace {path}` cannot be read: No such file or directory", HINT):
        read_trace(path)
    path.write_bytes(b"\xff")
    with refused(f"`--trace {path}` cannot be read: it is no text", HINT):
        read_trace(path)
