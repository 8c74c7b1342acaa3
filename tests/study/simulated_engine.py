"""A load engine without processes: what it measures is simulated, and goes wrong to order."""

from collections.abc import Sequence
from dataclasses import replace

from tests.capacity.simulated_server import Batching, SimulatedServer
from tuner.load.client import LoadEngine
from tuner.load.measurement import Measurement
from tuner.load.profile import LoadRun, OpenLoop
from tuner.load.requests import RequestSet
from tuner.records import Phase


class SimulatedEngine(LoadEngine):
    """Its open loops that are not stopped early are late by `lags_s`, one after the other.

    `added` counts the processes that it was given, `runs` are the loads that it was asked for.
    """

    def __init__(self, *, lags_s: Sequence[float] = (), failing_share: float = 0.0) -> None:
        super().__init__()
        self._server = SimulatedServer(Batching(0.001, 0.0001, 8), failing_share=failing_share)
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
        measured = self._server(
            Phase.SEARCH, run.profile, duration_s=run.duration_s, overload=run.overload
        )
        late = isinstance(run.profile, OpenLoop) and not measured.stopped_early and self._lags_s
        return replace(measured, send_lag_p99_s=self._lags_s.pop(0)) if late else measured
