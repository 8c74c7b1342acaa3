"""What is watched of a server while it is under load: metrics, processes, GPUs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tuner.protocols.prometheus import MetricsPage
from tuner.watch.gpu_usage import GpuUsage, Nvml, put_together
from tuner.watch.metrics import MetricsScraper, ServerMetrics
from tuner.watch.process_usage import ProcessReading, ProcessUsage, ServerProcess
from tuner.watch.sampling import Samples


@dataclass
class Readings:
    """What was seen over one window; None is what is not watched."""

    metrics: Samples[MetricsPage] | None
    process: Samples[ProcessReading] | None
    gpus: Samples[dict[str, GpuUsage]] | None


@dataclass(frozen=True)
class Seen:
    """What the readings of a load point come to; None, or empty, is what is not known."""

    metrics: ServerMetrics | None = None
    process: ProcessUsage | None = None
    gpus: Mapping[str, GpuUsage] = field(default_factory=dict)


@dataclass(frozen=True)
class Collectors:
    """Who watches; None does not."""

    metrics: MetricsScraper | None = None
    process: ServerProcess | None = None
    gpus: Nvml | None = None

    @contextmanager
    def window(self) -> Iterator[Readings]:
        """Watch within the block."""
        with ExitStack() as stack:
            yield Readings(
                stack.enter_context(self.metrics.window()) if self.metrics else None,
                stack.enter_context(self.process.window()) if self.process else None,
                stack.enter_context(self.gpus.window()) if self.gpus else None,
            )

    def seen(self, windows: Sequence[Readings]) -> Seen:
        """What the windows of one load point come to."""
        processes = [each.process for each in windows if each.process]
        return Seen(
            ServerMetrics.of([each.metrics for each in windows if each.metrics]),
            self.process.usage(processes) if self.process else None,
            put_together([one for each in windows if each.gpus for one in each.gpus.within]),
        )
