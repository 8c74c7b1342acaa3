"""What a lane sends next: the payloads of a request set in turn, or steps of its sequences."""

from tuner.load.lane import Lane
from tuner.load.profile import LoadRun
from tuner.load.requests import SERIAL_DIGITS, RequestSet
from tuner.load.sequences import SequencePlayer

# Serial numbers of an engine process in one run; a run of the engine begins where none was yet.
_SERIALS_EACH = 10**7
_SERIALS = 10**SERIAL_DIGITS
# The golden ratio's digits, which share no factor with `_SERIALS`: numbers that follow each other
# differ from their first digit on (Knuth, The Art of Computer Programming 3, 6.4).
_SCATTER = 61_803_398_874_989


def serial_digits(number: int) -> bytes:
    """The digits of a serial number; two numbers have the same only `_SERIALS` apart."""
    return b"%0*d" % (SERIAL_DIGITS, number * _SCATTER % _SERIALS)


class PayloadTurns:
    """The payloads in turn, each with a serial number in it where the set has places for them.

    Several engine processes take every n-th payload each. Requests know nothing of each other, so
    that none is ever the last, and it is all the same which lane is gone.
    """

    stateful = False

    def __init__(self, requests: RequestSet, run: LoadRun) -> None:
        self._payloads = requests.payloads
        self._places = requests.serials
        self._next = run.share.index
        self._processes = run.share.of
        self._one_serial = requests.one_serial
        part = 0 if requests.one_serial else run.share.index
        self._serial = (run.serial * run.share.of + part) * _SERIALS_EACH

    def next(self, lane: Lane) -> bytes:
        """The one that `lane` sends next."""
        lane.payload = self._next % len(self._payloads)
        self._next += self._processes
        return self._numbered(lane.payload)

    def again(self, lane: Lane, payload: int) -> bytes:
        """That payload once more."""
        lane.payload = payload
        return self._numbered(payload)

    def pause_s(self, lane: Lane) -> float:
        return 0.0

    def last(self, lane: Lane) -> bytes:
        return b""

    def abandon(self, lane: Lane) -> None:
        return None

    def leave(self, lane: Lane, *, unsent: bool = False) -> None:
        return None

    def _numbered(self, payload: int) -> bytes:
        """That payload, with a serial number that none has had."""
        if not self._places:
            return self._payloads[payload]
        if not self._one_serial:
            self._serial += 1
        digits = serial_digits(self._serial)
        data = bytearray(self._payloads[payload])
        for at in self._places[payload]:
            data[at : at + SERIAL_DIGITS] = digits
        return bytes(data)


Turns = PayloadTurns | SequencePlayer


def turns_of(requests: RequestSet, run: LoadRun) -> Turns:
    if requests.sequences is None:
        return PayloadTurns(requests, run)
    return SequencePlayer(requests.sequences, run)
