"""The hosts of a fleet on Ray, as a Crew."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import monotonic, sleep

from tuner.capacity.probes import Beat
from tuner.errors import InputError
from tuner.fleet.admission import Refusal
from tuner.fleet.crew import Attempt, Crew, Refused, Said
from tuner.fleet.messages import Begin, Chunk, ExpectedStudy, GiveUp, Raise, Ready, Rest, packed
from tuner.fleet.packing import pack
from tuner.fleet.ray_cluster import SEE_RAY, START_HINT, Answer, RayCluster, connected, name_of
from tuner.fleet.ray_host import RayHost, Task
from tuner.study.job import PreparedJob

# How often it is looked which hosts there are, in seconds.
_LOOK_S = 2.0
# A host that is lost so often before it was ready is asked no more.
_MOST_STARTS = 3
# How long a crew waits at its end until nothing runs any more on its hosts.
_ENDING_S = 60.0
# Hosts that begin together get the same chunks, one after the other: so many are kept for them.
_SHARED_CHUNKS = 4


@contextmanager
def ray_crew(
    prepared: PreparedJob, address: str, say: Callable[[str], None] = lambda _: None
) -> Iterator[Crew]:
    """The hosts of the cluster at `address`; nothing of the study runs on them afterwards.

    Raises:
        TunerError: There is no such cluster, or no host in it.
    """
    with connected(address) as cluster:
        crew = RayCrew(cluster, prepared, say)
        try:
            yield crew
        finally:
            crew.close()


class RayCrew:
    """Every host that has Ray's resource for it, from when it is there until it is gone."""

    def __init__(
        self, cluster: RayCluster, prepared: PreparedJob, say: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._say = say
        self._task = self._task_of(prepared)
        self._hosts: dict[str, RayHost] = {}  # by the ids of their nodes
        self._named: dict[str, RayHost] = {}  # those that answer
        self._aside: set[str] = set()  # the ids of nodes
        self._taken: set[str] = set()  # those that are known to be
        self._starts: Counter[str] = Counter()
        self._news: list[Said] = []
        self._image = ""
        self._noted = {""}
        self._next_look_s = 0.0
        self._look()
        if not self._hosts:
            raise InputError(
                f"the cluster of Ray at `{cluster.address}` has no host", hint=START_HINT
            )

    def begin(self, host: str, attempt: Attempt) -> None:
        """Run it there."""
        self._order(host, Begin(attempt))

    def beat(self, host: str, attempt: int, beat: Beat) -> None:
        """Tell the trial what it has to beat by now."""
        self._order(host, Raise(attempt, beat))

    def give_up(self, host: str, attempt: int) -> None:
        """End the attempt, and the server with it."""
        self._order(host, GiveUp(attempt))

    def rest(self, host: str) -> None:
        """End the server."""
        self._order(host, Rest())

    def dismiss(self, host: str) -> None:
        """End all that runs there; it is not asked again."""
        if found := self._named.get(host):
            found.dismiss()

    def wait(self, timeout_s: float) -> Sequence[Said]:
        """What hosts said; hosts that came meanwhile are begun with.

        Raises:
            TunerError: The connection to Ray is lost.
        """
        until_s = monotonic() + timeout_s
        while True:
            self._look()
            left_s = until_s - monotonic()
            if not self._news:
                self._listen(min(max(left_s, 0.0), _LOOK_S))
            if self._news or left_s <= 0:
                news = tuple(self._news)
                self._news.clear()
                return news

    def close(self) -> None:
        """End all that runs on any host, and return once it has.

        Where the connection is lost, agents end by themselves, as they hear nothing any more.
        """
        if self._cluster.is_lost:
            return
        until_s = monotonic() + _ENDING_S
        try:
            for host in self._hosts.values():
                host.dismiss()
            while self._hosts and monotonic() < until_s:
                self._listen(_LOOK_S)
            for name in self._named:
                self._say(f"{name}: it is not known whether all has ended there")
        finally:
            for host in self._hosts.values():
                host.kill()

    def _order(self, host: str, message: object) -> None:
        """Whoever asks may not know yet that the host is gone."""
        if found := self._named.get(host):
            found.order(message)

    def _look(self) -> None:
        """Begin with the hosts that are new, or free again."""
        if monotonic() < self._next_look_s:
            return
        self._next_look_s = monotonic() + _LOOK_S
        for node in self._cluster.nodes():
            if node.id not in self._hosts.keys() | self._aside:
                remote = self._cluster.actor(node, alone=True)
                self._hosts[node.id] = RayHost(node, remote, self._task, self._news.append)

    def _listen(self, timeout_s: float) -> None:
        """Let the hosts go on whose answers come within so many seconds."""
        waiting = {host.waits_for: host for host in self._hosts.values()}
        if not waiting:
            sleep(timeout_s)
        else:
            for answer in self._cluster.first(list(waiting), timeout_s):
                waiting[answer].go_on()
        for host in list(self._hosts.values()):
            if host.is_silent:
                host.lose(f"nothing was heard of it for {host.patience_s:.0f} s")
            if host.is_taken and host.node.id not in self._taken:
                self._taken.add(host.node.id)
                self._say(f"{host.name} joins once it answers: another study has it, perhaps")
            if host.over:
                self._leave(host)

    def _leave(self, host: RayHost) -> None:
        del self._hosts[host.node.id]
        if self._named.get(host.name) is host:
            del self._named[host.name]
        if host.aside:
            self._aside.add(host.node.id)
        elif not host.was_ready and host.node in self._cluster.nodes():
            self._say(f"{host.name} did not get ready: {host.fault}")
            self._starts[host.node.id] += 1
            if self._starts[host.node.id] >= _MOST_STARTS:
                self._aside.add(host.node.id)
                self._news.append(Refused(host.name, host.fault, SEE_RAY, host.hardware))

    def _task_of(self, prepared: PreparedJob) -> Task:
        files, study = pack(prepared), prepared.study

        @lru_cache(_SHARED_CHUNKS)
        def chunk(number: int) -> Answer:
            return self._cluster.shared(packed(Chunk(files.chunk(number))))

        expected = ExpectedStudy(study.name, study.model_fingerprint, study.space_fingerprint)
        return Task(
            files.parcel,
            expected,
            chunk,
            prepared.job.hardware,
            self._name,
            self._unfit,
            self._note,
        )

    def _name(self, host: RayHost) -> str:
        """A host that was lost may come back before Ray misses it: its name is not taken then."""
        name = name_of(host.node, self._named)
        self._named[name] = host
        return name

    def _note(self, host: str, note: str) -> None:
        """It may be so on all hosts: the first of them is named."""
        if note not in self._noted:
            self._noted.add(note)
            self._say(f"host {host} {note}; `tuner fleet doctor` says which others do")

    def _unfit(self, ready: Ready) -> Refusal | None:
        """Servers of one study are of one image."""
        self._image = self._image or ready.image_digest
        if ready.image_digest == self._image:
            return None
        return Refusal(
            f"its image is another one than that of the first host: {ready.image_digest}",
            f"have the same image on all hosts: {self._image}",
        )
