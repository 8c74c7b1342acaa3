"""A load engine without processes: what it measures is simulated, and goes wrong to order."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.capacity.simulated_server import Batching, SimulatedServer, Simulation
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import LoadRun, OpenLoop
from tuner.load.requests import RequestSet
from tuner.records import Phase

_SERVER = Batching(0.001, 0.0001, 8)


class SimulatedEngine(LoadEngine):
    """It measures the `simulation` that there is at the time of a run.

    Its open loops that are not stopped early are late by `lags_s`, one after the other. `added`
    counts the processes that it was given, `runs` are the loads that it was asked for.
    """

    def __init__(
        self,
        simulation: Callable[[], Simulation] = lambda: _SERVER,
        *,
        lags_s: Sequence[float] = (),
        failing_share: float = 0.0,
    ) -> None:
        super().__init__()
        self._simulation = simulation
        self._failing_share = failing_share
        self._lags_s = list(lags_s)
        self.added = 0
        self.runs: list[LoadRun] = []

    @property
    def workers(self) -> int:
        return 1 + self.added

    def add_worker(self) -> None:
        self.added += 1

    def prepare(self, requests: RequestSet) -> None:
        assert requests.payloads

    def measure(self, run: LoadRun) -> Measurement:
        self.runs.append(run)
        seed, failing = len(self.runs), self._failing_share
        server = SimulatedServer(
            self._simulation(), seed=seed, failing_share=failing, drain_s=run.drain_s
        )
        measured = server(
            Phase.SEARCH, run.profile, duration_s=run.duration_s, overload=run.overload
        )
        late = isinstance(run.profile, OpenLoop) and not measured.stopped_early and self._lags_s
        return replace(measured, send_lag_p99_s=self._lags_s.pop(0)) if late else measured
