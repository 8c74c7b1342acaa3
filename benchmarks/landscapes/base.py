"""Which landscapes there are."""

from dataclasses import dataclass
from pathlib import Path

from tuner import demo
from tuner.goals import LatencyBudget

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Landscape:
    """A model, what may vary, and the latency that its users accept."""

    name: str
    repository: Path
    budget: LatencyBudget

    @property
    def space_file(self) -> Path:
        return FOLDER / "spaces" / f"{self.name}.yaml"

    @property
    def table(self) -> Path:
        return FOLDER / "tables" / f"{self.name}.jsonl"


LANDSCAPES = {
    landscape.name: landscape
    for landscape in (
        Landscape("mlp", FOLDER / "models", LatencyBudget(99, 0.010)),
        Landscape("encoder", demo.REPOSITORY, LatencyBudget(99, 0.050)),
        Landscape("accelerator", FOLDER / "models", LatencyBudget(99, 0.025)),
        Landscape("cramped", FOLDER / "models", LatencyBudget(99, 0.015)),
    )
}
