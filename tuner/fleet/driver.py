"""Who runs what: errands go to hosts, and one record comes back for each.

Each attempt has a number of its own, and only what is said of the attempt that is awaited counts:
a host that was cut off and comes back with a record is too late (fencing, as the study's owner is
fenced in store/ownership.py).
"""

from dataclasses import replace

from tuner.capacity.probes import Beat
from tuner.errors import Reason, TunerError
from tuner.fleet.crew import (
    Attempt,
    Broken,
    Crew,
    Ended,
    GivenUp,
    Joined,
    Lost,
    PhaseBegan,
    PointEnded,
    Refused,
    Said,
)
from tuner.fleet.errand import Errand, Result, Stage, without_measurement
from tuner.fleet.ledger import Ledger
from tuner.fleet.log import Log
from tuner.fleet.roster import Host, Roster
from tuner.fleet.terms import Terms
from tuner.records import NOT_ITS_FAULT, Purpose, TrialState
from tuner.store.hosts import HostState
from tuner.study.again import RETRIES
from tuner.study.recorder import PauseAsked, StopAsked

# A configuration that so many hosts were lost with is what they were lost for.
_LOSSES = 2
# Hosts that are lost within so many seconds of each other have lost the network: that is excused
# once.
_TOGETHER_S = 30.0
# So often it is looked what is asked of the study, in seconds.
_LISTEN_S = 1.0
# A host that spoils so many trials in a row rests.
_SPOILED_IN_A_ROW = 2
# A host that is asked to give a trial up answers within so many seconds, or is lost.
_RECALL_S = 120.0
# No host is there: so long one is waited for that may come, or come back, in seconds.
_FIRST_S = 1800.0
_ALONE_S = 300.0


class Driver:
    """Gives errands to hosts; whatever happens to these, each errand ends once."""

    def __init__(
        self, crew: Crew, ledger: Ledger, log: Log, terms: Terms, *, first_attempt: int = 1
    ) -> None:
        self.roster = Roster()
        self._crew = crew
        self._ledger = ledger
        self._log = log
        self._deadline, self._clock, self._say = terms.deadline, terms.clock, terms.say
        self._export = terms.export
        self._attempt = first_attempt
        self._stage: Stage
        self._waiting: list[Errand] = []
        self._unwanted: set[int] = set()
        self._lost_s = -_TOGETHER_S
        self._heard_s = self._clock.monotonic_s()

    def run(self, stage: Stage) -> None:
        """All that the stage wants to have run.

        Raises:
            StopAsked: Somebody wants the study to end, or no host is left.
            TunerError: The baseline failed, or there never was a host.
        """
        self._stage = stage
        try:
            while not self._over:
                try:
                    self._turn()
                except PauseAsked:
                    self._recall()
                    self._log.pause(self._deadline, self._listen)
        except StopAsked:
            self._recall()
            raise
        finally:
            self._drop_waiting()

    def close(self) -> None:
        """The study has ended: nothing is left open, whatever it was that ended it."""
        for host in self.roster.running:
            errand = self.roster.ends(host, self._clock.now())
            if errand is not None:
                self._ledger.give_up(errand)
        self._ledger.close(self._clock.now())
        self.roster.dismiss(self._clock.now())
        self._log.flush(self.roster.changes())

    def give_up(self, purpose: Purpose) -> None:
        """End all trials for that purpose without records, as soon as their hosts can."""
        for host in self.roster.running:
            if host.runs(purpose) and host.attempt not in self._unwanted:
                self._unwanted.add(host.attempt)
                self._crew.give_up(host.name, host.attempt)
        for errand in [each for each in self._waiting if each.plan.purpose is purpose]:
            self._waiting.remove(errand)
            self._ledger.give_up(errand)

    def beat(self, beat: Beat) -> None:
        """Tell the trials of the search that run what they have to beat by now."""
        now = self._clock.now()
        for host in self.roster.running:
            if host.runs(Purpose.SEARCH):
                there = self._ledger.pace(host.name, now).beat(beat)
                self._crew.beat(host.name, host.attempt, there)

    def running(self, purpose: Purpose) -> int:
        """How many trials for that purpose have begun, and not ended yet."""
        waiting = sum(errand.plan.purpose is purpose for errand in self._waiting)
        return waiting + sum(host.runs(purpose) for host in self.roster.running)

    def put_aside(self, name: str, why: str) -> None:
        """The host measures nothing more; what it runs is run elsewhere."""
        host = self.roster.get(name)
        if host is None or host.state is HostState.ASIDE:
            return
        errand = self.roster.ends(host, self._clock.now())
        if errand is not None:
            self._run_again(errand, host)
        self._leaves(host, HostState.ASIDE, why)
        self._crew.dismiss(name)
        self._say(f"host {name} is put aside: {why}")

    @property
    def _over(self) -> bool:
        """What waits for one host that rests, a canary, holds nothing up."""
        if not self._stage.over or self.roster.running:
            return False
        return all(errand.only for errand in self._waiting)

    def _turn(self) -> None:
        self.roster.wake(self._clock.now(), self._clock.monotonic_s())
        self._stage.passes()
        self._begin_all()
        if not self._over:
            self._check_hosts()
            self._listen()
            self._log.hear()

    def _begin_all(self) -> None:
        """Give each host that is ready something to run, if there is."""
        begun, now = [], self._clock.now()
        for host in self.roster.ready:
            errand = self._next_waiting(host) or self._stage.next(host.name)
            if errand is not None:
                self.roster.begins(host, errand, self._attempt, now)
                self._log.begins(host, errand)
                self._attempt += 1
                begun.append((host, errand))
        self._log.flush(self.roster.changes())  # their numbers are given, whatever comes
        for host, errand in begun:
            golden = self._ledger.golden if errand.compared else None
            plan = self._ledger.pace(host.name, now).plan(errand.plan)
            self._crew.begin(host.name, Attempt(host.attempt, plan, golden))

    def _next_waiting(self, host: Host) -> Errand | None:
        """One that is to be run again, by this host."""
        if not self._waiting:
            return None
        others = {other.name for other in self.roster.awake} - {host.name}
        for errand in tuple(self._waiting):
            avoided = host.name in errand.avoids and others - errand.avoids
            if errand.only in ("", host.name) and not avoided:
                self._waiting.remove(errand)
                renewed = self._stage.renewed(errand)
                if renewed is not None:
                    return renewed
                self._ledger.give_up(errand)
        return None

    def _listen(self, timeout_s: float = _LISTEN_S) -> None:
        for said in self._crew.wait(timeout_s):
            self._hear(said)
        self._log.flush(self.roster.changes())

    def _hear(self, said: Said) -> None:
        if isinstance(said, Joined | Refused | Lost):
            self._hear_of_host(said)
            return
        host = self.roster.get(said.host)
        if host is None or host.errand is None or host.attempt != said.attempt:
            return  # too late
        match said:
            case PhaseBegan():
                self._log.phase(host, host.errand, said.phase)
            case PointEnded():
                self._log.point(host, host.errand, said.point)
            case _:
                self._hear_of_end(host, host.errand, said)

    def _hear_of_end(self, host: Host, errand: Errand, said: GivenUp | Ended | Broken) -> None:
        self.roster.ends(host, self._clock.now())
        match said:
            case GivenUp():
                self._run_again(errand, host)
                host.configuration = None
            case Ended():
                self._ended(host, errand, said)
            case Broken():
                self._broke(host, errand, f"{said.why}; {said.cure}")

    def _hear_of_host(self, said: Joined | Refused | Lost) -> None:
        self._heard_s = self._clock.monotonic_s()
        hardware = None if isinstance(said, Lost) else said.hardware
        host = self.roster.known(said.host, hardware, self._clock.now())
        errand = self.roster.ends(host, self._clock.now())
        if errand is not None:  # it is gone, or began anew without having been missed
            self._lose(host, errand, "it began anew" if isinstance(said, Joined) else said.why)
        host.configuration = None
        match said:
            case _ if host.state is HostState.ASIDE:
                self._crew.dismiss(host.name)
            case Joined():
                self.roster.goes(host, HostState.READY, self._clock.now())
            case Refused():
                self._leaves(host, HostState.REFUSED, said.why)
                self._say(f"host {host.name} cannot take part: {said.why}; {said.cure}")
            case Lost():
                self._leaves(host, HostState.LOST, said.why)
                self._say(f"host {host.name} is lost: {said.why}")

    def _leaves(self, host: Host, state: HostState, why: str) -> None:
        """It is there no more, and what only it could have run is not run."""
        self.roster.goes(host, state, self._clock.now(), why)
        for errand in [each for each in self._waiting if each.only == host.name]:
            self._waiting.remove(errand)
            self._ledger.give_up(errand)

    def _ended(self, host: Host, errand: Errand, said: Ended) -> None:
        export = self._export(said.record.configuration)
        record = replace(said.record, host=host.name, attempt=said.attempt, export=export)
        if record.state is TrialState.FAILED:  # a server that failed once is ended
            host.configuration = None
        if record.reason not in NOT_ITS_FAULT:
            host.spoiled = host.rests = 0
        elif self._is_run_again(errand, host, f"{record.reason}: {record.message}"):
            return
        self._conclude(Result(errand, record, said.golden))

    def _broke(self, host: Host, errand: Errand, why: str) -> None:
        """The host could not run it, and rests; what it was to run is run elsewhere."""
        host.spoiled = _SPOILED_IN_A_ROW
        if not self._is_run_again(errand, host, why):
            record = without_measurement(errand, Reason.INTERRUPTED, why, self._clock.now())
            self._conclude(Result(errand, record))

    def _is_run_again(self, errand: Errand, host: Host, why: str) -> bool:
        """Whether the trial is, as the host spoiled it: it rests, if it does that often."""
        host.spoiled += 1
        again = len(errand.spoilers) < RETRIES and self._deadline.left_s > 0
        if again:
            self._run_again(errand.after_spoiling(host.name), host)
        if host.spoiled >= _SPOILED_IN_A_ROW:
            self._rest(host, why)
        return again

    def _lose(self, host: Host, errand: Errand, why: str) -> None:
        """What a lost host ran is run elsewhere, unless others were lost with it before."""
        now_s = self._clock.monotonic_s()
        together, self._lost_s = now_s - self._lost_s < _TOGETHER_S, now_s
        excused = together and not errand.excused  # two that kill hosts do so at once, too
        after = replace(errand, excused=True) if excused else errand.after_loss(host.name)
        if len(after.lost) < _LOSSES or errand.only:
            self._run_again(after, host)
            return
        names = " and ".join(after.lost)
        message = f"hosts {names} were lost while they ran it: {why}"
        crash = without_measurement(after, Reason.CRASHED, message, self._clock.now())
        self._conclude(Result(after, crash))

    def _run_again(self, errand: Errand, host: Host) -> None:
        """It is run once more, unless nobody wants that any more."""
        if host.attempt in self._unwanted:
            self._ledger.give_up(errand)
        else:
            self._waiting.append(errand)

    def _conclude(self, result: Result) -> None:
        """It is stored, unless the stage wants it run again."""
        again = self._stage.again(result)
        if again is not None:
            self._waiting.append(again)
            return
        self._log.flush(self.roster.changes())
        self._ledger.store(result.record)
        self._log.ends(result.record)
        self._stage.stored(result)

    def _rest(self, host: Host, why: str) -> None:
        now, now_s = self._clock.now(), self._clock.monotonic_s()
        rest_s = self.roster.rests(host, why, now, now_s)
        if rest_s is None:
            self._leaves(host, HostState.ASIDE, why)
            self._crew.dismiss(host.name)
            self._say(f"host {host.name} is put aside: it spoils its trials ({why})")
        else:
            self._crew.rest(host.name)
            self._say(f"host {host.name} spoils trials ({why}); it rests for {rest_s:.0f} s")

    def _recall(self) -> None:
        """Have all trials given up that run; servers end."""
        for host in self.roster.running:
            self._crew.give_up(host.name, host.attempt)
        for host in self.roster.ready:
            self._crew.rest(host.name)
            host.configuration = None
        silent_s = self._clock.monotonic_s() + _RECALL_S
        while self.roster.running and self._clock.monotonic_s() < silent_s:
            self._listen()
        for host in self.roster.running:
            why = f"it did not give up its trial within {_RECALL_S:.0f} s"
            self._hear_of_host(Lost(host.name, why))
            self._crew.dismiss(host.name)

    def _drop_waiting(self) -> None:
        for errand in self._waiting:
            self._ledger.give_up(errand)
        self._waiting = []

    def _check_hosts(self) -> None:
        """Whether there is a host, or may be one soon.

        Raises:
            StopAsked: There is none.
            TunerError: There never was one.
        """
        known, is_late = list(self.roster), self._deadline.left_s <= 0
        if self.roster.running or (self.roster.usable and not is_late):
            return
        patience_s = _ALONE_S if known else _FIRST_S
        if self._clock.monotonic_s() - self._heard_s < patience_s and not is_late:
            return
        words = "; ".join(f"{host.name}: {host.why}" for host in known) or "none has joined"
        if not self._ledger.study.searched:
            raise TunerError(
                f"no host of the fleet can measure ({words})",
                hint="`tuner fleet doctor` says what each of them lacks",
            )
        raise StopAsked(now=True, why=f"no host of the fleet is left ({words})")
