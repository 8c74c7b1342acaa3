"""Which payload of a request set is sent next, and with which serial number."""

from dataclasses import replace

from tests.load.runs import load_run
from tuner.load.lane import Lane
from tuner.load.profile import Endpoint, LoadRun, Share
from tuner.load.requests import SERIAL_DIGITS, RequestSet
from tuner.load.turns import PayloadTurns

RUN = load_run(Endpoint("h", 1), serial=1)
PAYLOADS = tuple(letter + b"0" * SERIAL_DIGITS for letter in (b"a", b"b", b"c"))
NUMBERED = RequestSet(PAYLOADS, serials=((1,), (1,), (1,)))


class OneLane(Lane):
    """Sends nothing."""

    def send(self, data: bytes) -> None:
        del data

    def cancel(self, kind: str) -> None:
        del kind


def sent(requests: RequestSet, run: LoadRun, count: int) -> list[bytes]:
    turns, lane = PayloadTurns(requests, run), OneLane()
    return [turns.next(lane) for _ in range(count)]


def test_in_turn() -> None:
    """The lane knows which payload it carries; where one is sent again, it is the same one."""
    turns, lane = PayloadTurns(RequestSet((b"a", b"b")), RUN), OneLane()
    assert [(turns.next(lane), lane.payload) for _ in range(3)] == [
        (b"a", 0),
        (b"b", 1),
        (b"a", 0),
    ]
    assert (turns.again(lane, 1), lane.payload) == (b"b", 1)


def test_several_processes() -> None:
    """Together they send the payloads in turn: the n-th request has the n-th payload."""
    parts = [sent(RequestSet(PAYLOADS), replace(RUN, share=Share(n, 2)), 3) for n in range(2)]
    whole = [each for both in zip(*parts, strict=True) for each in both]
    assert whole == [*PAYLOADS, *PAYLOADS]


def test_a_number_of_its_own() -> None:
    """No two requests have the same, of whichever process and run."""
    runs = [
        replace(RUN, serial=serial, share=Share(index, 2))
        for serial in (1, 2)
        for index in range(2)
    ]
    numbers = [data[1:] for run in runs for data in sent(NUMBERED, run, 50)]
    assert len(set(numbers)) == 200


def test_several_texts_of_a_request() -> None:
    """Each has the number of the request, and no text comes twice."""
    text = b"0" * SERIAL_DIGITS
    two = RequestSet((b"a%bb%bc" % (text, text),), serials=((1, 2 + SERIAL_DIGITS),))
    found = sent(two, RUN, 50)
    numbers = [data[1 : 1 + SERIAL_DIGITS] for data in found]
    assert found == [b"a%bb%bc" % (number, number) for number in numbers]
    assert len(set(numbers)) == 50


def test_the_number_of_the_run() -> None:
    """All requests of a run have the same, of whichever process; the next run another one."""
    one = replace(NUMBERED, one_serial=True)
    first, second = (
        {
            data[1:]
            for index in range(2)
            for data in sent(one, replace(RUN, serial=serial, share=Share(index, 2)), 5)
        }
        for serial in (1, 2)
    )
    assert len(first) == len(second) == 1
    assert first != second
