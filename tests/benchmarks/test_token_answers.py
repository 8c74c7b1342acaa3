"""The answers of the stand-in: each packet completes the tokens that it is said to."""

import itertools

import pytest

from benchmarks.token_answers import PROMPT_TOKENS, AnswerForm, Cut
from tuner.load.events import EventParser
from tuner.load.http1 import ResponseParser
from tuner.protocols.openai import OpenAiRule
from tuner.protocols.openai_task import Task

RULE = OpenAiRule(Task.CHAT)


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("together", [1, 3, 8])
@pytest.mark.parametrize("counted", [False, True])
def test_each_packet_completes_its_tokens(cut: Cut, together: int, *, counted: bool) -> None:
    """Wherever it ends, and whether or not the events say how many there are by now."""
    form = AnswerForm(tokens=8, together=together, cut=cut)
    packets = form.packets(counted=counted)
    response, events = ResponseParser(keep=True), EventParser()
    came, heard, ended = [], [], False
    for packet in packets:
        ended = response.feed(packet)
        new = [RULE.read(each) for each in events.feed(response.take())]
        came.append(sum(each.tokens for each in new))
        heard += new
    assert came == [0, *form.packet_tokens]
    assert ended
    assert [each.output_tokens for each in heard if each.tokens] == [
        number * counted for number in range(1, 9)
    ]
    assert heard[-2].output_tokens == 8
    assert heard[-2].prompt_tokens == PROMPT_TOKENS
    assert heard[-1].ends
    assert not any(each.fault for each in heard)


def test_packets_end_where_they_are_told_to() -> None:
    """Within `data:`, or within a character; the bytes in all are those of the same form."""
    ends = {Cut.EVENT: b"\n\n\r\n", Cut.FIELD: b"dat", Cut.CHARACTER: b"caf\xc3"}
    for cut, end in ends.items():
        *packets, _ = AnswerForm(tokens=4, cut=cut).packets(counted=False)
        assert all(packet.endswith(end) for packet in packets)
    apart = AnswerForm(tokens=4).packets(counted=True)
    at_once = AnswerForm(tokens=4, together=4, cut=Cut.FIELD).packets(counted=True)
    assert b"".join(apart) == b"".join(at_once)


def test_an_answer_that_is_not_streamed() -> None:
    """It says the same number of tokens, in one document."""
    parser = ResponseParser(keep=True)
    assert parser.feed(AnswerForm(tokens=5).whole())
    heard = RULE.read(parser.body)
    assert (heard.tokens, heard.output_tokens) == (True, 5)


def test_tokens_of_the_packets() -> None:
    """The last one has what is left."""
    assert AnswerForm(tokens=8, together=3).packet_tokens == [3, 3, 2]
    assert list(itertools.accumulate(AnswerForm(tokens=4).packet_tokens)) == [1, 2, 3, 4]
