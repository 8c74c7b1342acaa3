"""Devices that are known on paper: what each configuration carries on them can be computed.

A device runs `slots` calls at once (0: as many as there are instances), each of at most `rows`
rows; a call takes `fixed_s + rows * each_s` of sleep, so no processor time is needed. An instance
keeps to one slot, as to a stream, and cuts a larger batch into several calls.
"""

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice, product
from pathlib import Path

import numpy as np

from tuner.goals import LatencyBudget
from tuner.space.space import Configuration

# Requests of one simulated run.
_REQUESTS = 12_000
# Halvings of the interval that holds a capacity.
_HALVINGS = 13
# What the best on paper is looked for among: without a delay first,
CORES = 2
# Triton's own space has no more copies of a model.
_MOST_INSTANCES = 256
_INSTANCES = range(1, 2 * CORES + 1)
_SIZES = (2, 4, 8, 16, 32, 64)
# then this many of the best with each of these.
_DELAYED = 4
_DELAYS_US = (500, 1000, 2000, 5000, 10_000)
# A device that carries more, in inferences per second, would be one that measures two cores.
_MOST = 3000.0

_CONFIG = """
backend: "python"
max_batch_size: 64
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
instance_group { kind: KIND_CPU }
"""
_CODE = '''
"""One slot of a device, held for as long as a call on it takes."""

import fcntl
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

FIXED_S, EACH_S, ROWS, SLOTS = {fixed_s}, {each_s}, {rows}, {slots}


class TritonPythonModel:
    def initialize(self, args):
        number = int(args["model_instance_name"].split("_")[-1])
        folder = Path(args["model_repository"]) / args["model_version"]
        self.slot = (folder / f"slot-{{number % SLOTS if SLOTS else number}}").open()

    def execute(self, requests):
        fcntl.flock(self.slot, fcntl.LOCK_EX)
        began = time.monotonic()
        inputs = [pb_utils.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        responses = [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", np.float32(2) * x)]) for x in inputs
        ]
        rows = sum(map(len, inputs))
        held_s = -(-rows // ROWS) * FIXED_S + rows * EACH_S
        time.sleep(max(0.0, began + held_s - time.monotonic()))
        fcntl.flock(self.slot, fcntl.LOCK_UN)
        return responses
'''


@dataclass(frozen=True)
class Device:
    """What a call takes, in seconds; the most rows of one; how many at once; the budget (p99)."""

    fixed_s: float
    each_s: float
    rows: int
    slots: int
    limit_s: float

    @property
    def budget(self) -> LatencyBudget:
        return LatencyBudget(99, self.limit_s)

    def held_s(self, batch: int) -> float:
        return math.ceil(batch / self.rows) * self.fixed_s + batch * self.each_s

    def capacity(self, configuration: Configuration) -> float:
        """Inferences per second whose p99 is just within the budget, by bisection; 0 if none."""
        low, high = 0.0, 2 * _MOST
        for _ in range(_HALVINGS):
            rate = (low + high) / 2
            within = self._p99_s(rate, configuration) <= self.limit_s
            low, high = (rate, high) if within else (low, rate)
        return low

    def best(self) -> tuple[Configuration, float]:
        """The configuration that carries the most, and its capacity."""
        shapes = list(product(_INSTANCES, (0, *_SIZES)))
        found = [(self.capacity(_configuration(*each)), *each, 0) for each in shapes]
        found.sort(reverse=True)
        batching = [(instances, size) for _, instances, size, _ in found if size][:_DELAYED]
        for (instances, size), us in product(batching, _DELAYS_US):
            carried = self.capacity(_configuration(instances, size, us))
            found.append((carried, instances, size, us))
        capacity, *best = max(found)
        return _configuration(*best), capacity

    def write(self, folder: Path) -> None:
        """The model's files."""
        (folder / "1").mkdir(parents=True)
        (folder / "config.pbtxt").write_text(_CONFIG)
        facts = {"fixed_s": self.fixed_s, "each_s": self.each_s}
        code = _CODE.format(**facts, rows=self.rows, slots=self.slots)
        (folder / "1" / "model.py").write_text(code)
        for slot in range(self.slots or _MOST_INSTANCES):  # locked, and never written
            (folder / "1" / f"slot-{slot}").touch()

    def _p99_s(self, rate: float, configuration: Configuration) -> float:
        """A free instance takes what waits, after its delay; then it waits for its slot."""
        largest = int(configuration.get("max_batch_size", 1))
        delay_s = int(configuration.get("max_queue_delay_microseconds", 0)) / 1e6
        enough = int(configuration.get("preferred_batch_size", 0)) or largest
        due = np.cumsum(np.random.default_rng(1).exponential(1 / rate, _REQUESTS))
        instances = int(configuration["instance_count"])
        free = [(0.0, number) for number in range(instances)]
        slots = [0.0] * (self.slots or instances)
        latencies, first = np.empty(_REQUESTS), 0
        while first < _REQUESTS:
            full = due[min(first + enough, _REQUESTS) - 1]
            free_s, number = heapq.heappop(free)
            begins = max(free_s, due[first], min(due[first] + delay_s, full))
            waiting = int(np.searchsorted(due, begins, side="right"))
            last = max(first + 1, min(waiting, first + largest))
            slot = number % len(slots)
            slots[slot] = max(begins, slots[slot]) + self.held_s(last - first)
            latencies[first:last] = slots[slot] - due[first:last]
            heapq.heappush(free, (slots[slot], number))
            first = last
        return float(np.quantile(latencies, 0.99))


def drawn(number: int) -> Sequence[Device]:
    """The first `number` devices of a fixed series, drawn at random."""
    return list(islice(filter(_is_fair, map(_drawn, count())), number))


def _drawn(seed: int) -> Device:
    chance = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    fixed_s = round(2e-3 * 10 ** chance.random(), 5)
    each_s = round(0.2e-3 * 10 ** chance.random(), 6)
    rows, slots = chance.choice((4, 8, 16, 32)), chance.choice((0, 1, 2, 3))
    whole_s = fixed_s + rows * each_s
    return Device(fixed_s, each_s, rows, slots, round(whole_s * chance.uniform(2, 5), 3))


def _is_fair(device: Device) -> bool:
    most = (device.slots or max(_INSTANCES)) * device.rows / device.held_s(device.rows)
    return most <= _MOST


def _configuration(instances: int, size: int = 0, delay_us: int = 0) -> Configuration:
    alone = {"instance_count": instances, "dynamic_batching": bool(size)}
    batching = {"max_batch_size": size, "max_queue_delay_microseconds": delay_us}
    return Configuration.of({**alone, **batching} if size else alone)
