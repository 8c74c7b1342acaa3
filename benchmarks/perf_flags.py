"""Which performance flags of a TorchScript model help, and what all of them on are worth.

A module of many small element-wise operations between small products is served by Triton's Python
backend, which heeds the flags of its PyTorch backend. All 32 configurations of five flags are
measured (perf_flags.yaml), then the best ones again on fresh starts. What `tuner effects` says of
that study is printed.

    python -m benchmarks.perf_flags --timeout 1200 --json FILE
"""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.landscapes.measure import Silent
from benchmarks.options import seconds
from benchmarks.tables import machine, table
from tuner.analysis import standings
from tuner.analysis.effects import Effect, effects
from tuner.goals import LatencyBudget, SearchBudget
from tuner.load.requests import TensorSpec
from tuner.records import StudyRecord, TrialRecord, TrialState
from tuner.report import effects_text
from tuner.search.samplers import Sampler
from tuner.space.space import Configuration
from tuner.study import job

_SPACE = Path(__file__).with_name("perf_flags.yaml")
_CONFIGURATIONS = 32
# The model multiplies vectors of this length,
_WIDTH = 128
# this many times.
_STEPS = 16


def write_model(path: Path) -> None:
    """A gated recurrence, as TorchScript, whose loop is part of the graph."""
    import torch

    class Gated(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.gate, self.state = (
                torch.nn.Parameter(torch.randn((_WIDTH, _WIDTH), generator=generator) / 12)
                for _ in range(2)
            )
            self.steps: int = _STEPS

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(self.steps):
                gate = torch.sigmoid(x @ self.gate)
                x = gate * torch.tanh(x @ self.state) + (1.0 - gate) * x
                x = torch.relu(x * 1.01 - 0.001) - 0.5 * torch.relu(-x)
            return x

    torch.jit.script(Gated().eval()).save(str(path))  # type: ignore[no-untyped-call]


def studied(model: Path, timeout_s: float) -> StudyRecord:
    prepared = job.prepare(
        job.Job(
            budget=LatencyBudget(99, 0.050),
            model_file=model,
            inputs=(TensorSpec("x", "FP32", (-1, _WIDTH)),),
            space_file=_SPACE,
            search_budget=SearchBudget(
                trials=_CONFIGURATIONS, timeout_s=timeout_s, finalists=1, confirmations=1
            ),
            sampler=Sampler.EXHAUSTIVE,
            database=str(model.with_name("studies.db")),
        )
    )
    return job.run(prepared, Silent())


def capacity(study: StudyRecord, **flags: bool) -> str:
    """What the search measured with these flags; a bound where it was stopped because beaten."""
    wanted = Configuration.of(flags)
    found = (t for t in study.searched if t.configuration == wanted)
    trial: TrialRecord | None = next(found, None)
    if trial is None:
        return "not tried"
    bound = "< " if trial.state is TrialState.PRUNED else ""
    return f"{bound}{trial.throughput:,.0f}/s ({trial.state.value})"


def row(effect: Effect) -> list[str]:
    ratio = effect.ratio
    said = f"{ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "-"
    return [
        f"{effect.parameter}={str(effect.value).lower()}",
        str(effect.reference).lower(),
        said,
        f"{ratio.p_value:.3g}" if ratio else "-",
        str(effect.pairs),
        effect.judgement.value,
    ]


def main() -> None:
    """Print what each flag is worth, and all of them together."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--timeout", type=seconds, default=1200.0, help="seconds for the study")
    parser.add_argument("--json", type=Path, help="file for what the study found")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "gated.pt"
        write_model(model)
        study = studied(model, options.timeout)
    result = standings.standings(study)
    found = effects(study, result.winner.configuration if result.winner else None)
    names = list(study.parameters)
    on = {name: name != "optimized_execution_disabled" for name in names}
    off = {name: not value for name, value in on.items()}
    print(f"{machine()}. {len(study.trials)} trials, p99 <= 50 ms.\n")
    heads = ["value", "compared with", "capacity (95 %)", "p (Holm)", "pairs", "verdict"]
    print(table(heads, map(row, found.effects)))
    print(f"\nAll flags on: {capacity(study, **on)}; all off: {capacity(study, **off)}.")
    for sentence in effects_text.remarks(result, found):
        print(sentence)
    if options.json:
        options.json.write_text(
            json.dumps(effects_text.effects_document(found, result), default=str)
        )


if __name__ == "__main__":
    main()
