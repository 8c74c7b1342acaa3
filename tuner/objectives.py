"""What a study can search for, besides keeping its latency budget."""

from enum import StrEnum


class Objective(StrEnum):
    """What to make as large, or as small, as possible.

    throughput   capacity: the highest throughput within the latency budget, inferences per second
    latency      the budget's percentile at the reference load, seconds
    memory       the most resident memory that the server's processes had, bytes
    cpu          processor time of the server for each inference, seconds
    energy       what the GPUs took for each inference, joules
    """

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    MEMORY = "memory"
    CPU = "cpu"
    ENERGY = "energy"

    @property
    def maximize(self) -> bool:
        return self is Objective.THROUGHPUT
