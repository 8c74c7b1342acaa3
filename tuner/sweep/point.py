"""One load point of `tuner measure`: what the client, the server and its machine saw of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop
from tuner.records import ServerStatistics
from tuner.sweep.stability import Stability
from tuner.watch.gpu_usage import GpuUsage
from tuner.watch.metrics import ServerMetrics
from tuner.watch.process_usage import ProcessUsage
from tuner.watch.scheduling import Scheduling, scheduling

# A load point that is shorter than this many answers without load says little.
_FEWEST_ANSWERS = 4


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """A measurement, and what else is known of it; None is what was not asked for, or not told.

    `statistics` are the server's counters over the load point, and `driver_gpus` are the GPUs as
    the driver of this machine saw them. Where several windows were pooled, all of it is.
    `answer_s` is what an answer took in the warm-up.
    """

    measurement: Measurement
    statistics: ServerStatistics | None = None
    metrics: ServerMetrics | None = None
    process: ProcessUsage | None = None
    driver_gpus: Mapping[str, GpuUsage] = field(default_factory=dict)
    stability: Stability | None = None
    answer_s: float = 0.0

    @property
    def gpus(self) -> Mapping[str, GpuUsage]:
        """The GPUs as the server sees them, or else as the driver does; by UUID."""
        return (self.metrics.gpus if self.metrics else {}) or self.driver_gpus

    @property
    def scheduling(self) -> Scheduling | None:
        """How a language-model server scheduled the requests, if its metrics were read."""
        return scheduling(self.metrics) if self.metrics else None

    @property
    def rate(self) -> float | None:
        """Requests per second that an open loop sent on average; None of a closed loop."""
        profile = self.measurement.profile
        return None if isinstance(profile, ClosedLoop) else profile.rate

    @property
    def generated(self) -> bool:
        """Whether answers are made of output tokens."""
        tokens = self.measurement.tokens
        return tokens is not None and tokens.output > 0

    @property
    def doubts(self) -> list[str]:
        """Why this may say less of the server than it seems to, in words."""
        doubts = []
        if self.measurement.client_overloaded:
            doubts.append(f"the client was overloaded: {self.measurement.client_overloaded}")
        if self.measurement.stopped_early:
            doubts.append(f"stopped early: {self.measurement.stopped_early}")
        duration_s = self.measurement.duration_s
        # The first answers of a cold server are no measure of it.
        answer_s = min(self.answer_s, self.measurement.percentile(50))
        if duration_s < _FEWEST_ANSWERS * answer_s:
            doubts.append(
                f"an answer takes {answer_s:.3g} s, so that {duration_s:.3g} s say little: raise "
                "`--duration`"
            )
        if self.scheduling and self.scheduling.preemptions:
            doubts.append(
                f"the server put {self.scheduling.preemptions:.0f} requests back, as its cache "
                "was full: what it had computed for them, it computed again"
            )
        if self.stability and not self.stability.stable:
            doubts.append(str(self.stability))
        return doubts


def latency_parts_s(point: SweepPoint) -> dict[str, float]:
    """The mean latency of a request by its parts, in seconds, in the order of their time.

    Names and meaning are perf_analyzer's (`report_writer.cc`): what neither side accounts for is
    the network's, with the server's sending and receiving; a part that nobody knows is 0. The
    server measures apart from the client, so the parts may add up to more than the mean.
    """
    measurement = point.measurement
    send_s, receive_s = known_s(measurement.client_send_s), known_s(measurement.client_receive_s)
    parts_s = server_parts_s(point.statistics or ServerStatistics())
    server = {f"Server {part.replace('_', ' ').title()}": each for part, each in parts_s.items()}
    told_s = send_s + math.fsum(server.values()) + receive_s
    return {
        "Client Send": send_s,
        "Network+Server Send/Recv": max(0.0, known_s(measurement.mean_s) - told_s),
        **server,
        "Client Recv": receive_s,
    }


def server_parts_s(statistics: ServerStatistics) -> dict[str, float]:
    """What the server took for a request on average, by step; 0 without any request."""
    parts_s = {
        "queue": statistics.queue_s,
        "compute_input": statistics.compute_input_s,
        "compute_infer": statistics.compute_infer_s,
        "compute_output": statistics.compute_output_s,
    }
    return {part: statistics.per_request_s(total_s) for part, total_s in parts_s.items()}


def known_s(duration_s: float) -> float:
    """0 for what nobody knows."""
    return duration_s if math.isfinite(duration_s) else 0.0
