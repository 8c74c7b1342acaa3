"""One host of a fleet on Ray, from when it was found until it is gone."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tuner.fleet import clocks
from tuner.fleet.admission import Refusal, of_other_group, read_facts, refusal
from tuner.fleet.crew import Joined, Lost, Refused, Said
from tuner.fleet.host_facts import own_versions
from tuner.fleet.messages import Enrol, ExpectedStudy, Ready, packed, unpacked
from tuner.fleet.ray_cluster import Answer, HostGoneError, Node, RemoteHost
from tuner.fleet.travel import Parcel
from tuner.hardware import Hardware

# How long the host waits for something to say before it says that there is nothing, in seconds,
_LONG_POLL_S = 10.0
# and how long the driver waits for that until it takes the host for lost.
_SILENCE_S = 30.0
# Other calls than polls may take longer.
_LONGEST_CALL_S = 90.0
# A host that is free answers sooner.
_TAKEN_S = 20.0

Steps = Generator[Answer, Any, None]


@dataclass(frozen=True)
class Task:
    """What every host of a study gets.

    `chunk` is the message with this chunk of the files. `hardware` is what its hosts have; None
    is anything. `named` gives a host that is free its name. `unfit` says why one that is ready is
    none for this study, `note` is told what its agent notes.
    """

    parcel: Parcel
    expected: ExpectedStudy
    chunk: Callable[[int], Answer]
    hardware: Hardware | None
    named: Callable[["RayHost"], str]
    unfit: Callable[[Ready], Refusal | None]
    note: Callable[[str, str], None]


class RayHost:
    """What happens with a host is a line of steps, each of which waits for an answer of it.

    It has `joined` from when it was said to be ready until it was said to be gone; it is `over`
    once nothing is asked of it any more, and `aside` if it shall not be asked again.
    """

    def __init__(
        self, node: Node, remote: RemoteHost, task: Task, tell: Callable[[Said], None]
    ) -> None:
        self.node = node
        self.name = node.name
        self.joined = self.was_ready = self.over = self.aside = self.holds = False
        self.fault = ""
        self.hardware: Hardware | None = None
        self._remote = remote
        self._task = task
        self._tell = tell
        self.patience_s = _LONGEST_CALL_S
        self._asked_s = monotonic()
        self._steps = self._life()
        self.waits_for = next(self._steps)

    @property
    def is_silent(self) -> bool:
        """Whether an answer should have come long ago; a host may be another study's for hours."""
        return self.holds and monotonic() - self._asked_s > self.patience_s

    @property
    def is_taken(self) -> bool:
        """Whether it has not been free for a while."""
        return not self.holds and monotonic() - self._asked_s > _TAKEN_S

    def go_on(self) -> None:
        """Take the answer that was waited for."""
        try:
            self.waits_for = self._steps.send(self._remote.answer(self.waits_for))
        except StopIteration:
            self.kill()
        except HostGoneError as error:
            self.lose(error.message)

    def lose(self, why: str) -> None:
        """The host is gone for the study; what runs there ends once it sees that."""
        self.kill()
        self.fault = why
        if self.joined:
            self.joined = False
            self._tell(Lost(self.name, why))

    def order(self, message: object) -> None:
        """Have the agent do that; if it cannot, the next answer says so."""
        if self.joined:
            self._remote.tell(packed(message))

    def dismiss(self) -> None:
        """Have all ended that runs there, and be over then."""
        self.joined, self.aside = False, True
        if not self.holds:
            self.kill()
        elif not self.over:
            self._steps = self._ending()
            self.waits_for = next(self._steps)

    def kill(self) -> None:
        """Be over at once; what runs there is not waited for."""
        self.over = True
        self._remote.kill()

    def _life(self) -> Steps:
        yield self._ask("clock")  # which is answered once the host is free
        self.holds = True
        self.name = self._task.named(self)
        found = yield from self._fault_found()
        if found is not None:
            self._refuse(found)
            return
        yield self._ask("start")
        task, parcel = self._task, self._task.parcel
        yield self._ask("tell", packed(Enrol(self.name, parcel, task.expected)))
        for number in range(parcel.chunks):
            yield self._ask("tell", task.chunk(number))
        yield from self._listening()

    def _fault_found(self) -> Generator[Answer, Any, Refusal | None]:
        """What speaks against the host before anything is started there."""
        facts = read_facts((yield self._ask("facts")), own_versions())
        if isinstance(facts, Refusal):
            return facts
        self.hardware = facts.hardware
        if other := of_other_group(facts.hardware, self._task.hardware):
            return other
        offset_of = clocks.asked()
        offset_s = offset_of((yield self._ask("clock")))
        return refusal(facts, offset_s=offset_s, parcel_bytes=self._task.parcel.size)

    def _listening(self) -> Steps:
        heard = 0
        while not self.aside:
            messages, ended = yield self._ask("said", heard, _LONG_POLL_S, patience_s=_SILENCE_S)
            for message in messages:
                heard += 1
                self._hear(unpacked(message))
            if ended and not self.aside:
                raise HostGoneError(f"its agent ended: {ended.splitlines()[-1]}")

    def _ending(self) -> Steps:
        yield self._ask("end")

    def _hear(self, message: Said | Ready) -> None:
        match message:
            case Ready():
                if unfit := self._task.unfit(message):
                    self._refuse(unfit)
                else:
                    self.joined = self.was_ready = True
                    self._task.note(self.name, message.note)
                    self._tell(Joined(self.name, message.hardware))
            case Refused():
                self.aside = True
                self._tell(message)
            case _:
                self._tell(message)

    def _refuse(self, refusal: Refusal) -> None:
        self.aside = True
        self._tell(Refused(self.name, refusal.why, refusal.cure, self.hardware))

    def _ask(self, method: str, *given: Any, patience_s: float = _LONGEST_CALL_S) -> Answer:
        self._asked_s, self.patience_s = monotonic(), patience_s
        return self._remote.ask(method, *given)
