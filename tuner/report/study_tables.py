"""The tables of a study's data: which columns they have, in what unit, and what they mean.

The same for `tuner.load_study` and `tuner studies export`; docs/data.md lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# As `tuner.records` has them, which would take numpy along into the help of a command.
_PERCENTILES = (50, 90, 95, 99)
_TEXT = "string"
_WHOLE = "int64"
_REAL = "float64"
_MOMENT = "datetime64[us, UTC]"
# Of a model that generates text the latter.
_RATE = "inferences/s, or requests/s"
_SECONDS = "s"
_PER_INFERENCE = "s per inference"

PARAMETERS = "parameter.NAME"
"""Stands for a column of each parameter: Int64, Float64, boolean or string, by its values."""


class StudyTable(StrEnum):
    """What has a row: each trial, each load point, or each parameter of a trial."""

    TRIALS = "trials"
    LOAD_POINTS = "load_points"
    VERIFICATIONS = "verifications"


@dataclass(frozen=True)
class DataColumn:
    """A column: pandas' name of its type, its unit (empty without one), and what it means."""

    name: str
    dtype: str
    unit: str
    meaning: str


_OF_TRIAL = (
    DataColumn("study", _TEXT, "", "name of the study"),
    DataColumn("trial", _WHOLE, "", "number of the trial, from 0"),
    DataColumn("purpose", _TEXT, "", "`baseline`, `search`, `drift`, `final` or `proof`"),
    DataColumn("state", _TEXT, "", "`feasible`, `infeasible`, `pruned` or `failed`"),
)
_PARAMETER = DataColumn(
    PARAMETERS, "by its values", "", "value of a parameter; missing where it does not apply"
)

_TRIALS = (
    *_OF_TRIAL,
    DataColumn("reason", _TEXT, "", "why it failed; missing otherwise"),
    DataColumn("message", _TEXT, "", "how it failed, in words"),
    _PARAMETER,
    DataColumn("throughput", _REAL, _RATE, "capacity; of a pruned trial only a bound"),
    DataColumn("log_error", _REAL, "", "standard error of the logarithm of the capacity"),
    DataColumn("unloaded_s", _REAL, _SECONDS, "latency with one request at a time"),
    DataColumn("saturation", _REAL, _RATE, "throughput at saturation"),
    DataColumn("reference_s", _REAL, _SECONDS, "latency at the study's reference load"),
    DataColumn("difference", _REAL, "", "how far outputs are from the baseline's"),
    DataColumn("cpu_s", _REAL, _PER_INFERENCE, "processor time of the server"),
    DataColumn("memory_bytes", _REAL, "bytes", "most resident memory of the server"),
    DataColumn("energy_j", _REAL, "J per inference", "energy of all GPUs"),
    DataColumn("mean_batch", _REAL, "inferences", "mean batch that the server executed"),
    DataColumn(
        "preemptions",
        "Int64",
        "requests",
        "how often a server put a request back as its cache was full; missing if unknown",
    ),
    DataColumn("round", _WHOLE, "", "round of the finals, from 0"),
    DataColumn("proof", _TEXT, "", "verdict on the claimed load; empty otherwise"),
    DataColumn("applied", _TEXT, "", "`restart` or `reload`; empty if it came not so far"),
    DataColumn("proposal", "Int64", "", "number of Optuna's trial; missing of finals"),
    DataColumn("seed", _WHOLE, "", "seed of the arrivals"),
    DataColumn("total_s", _REAL, _SECONDS, "how long the trial took"),
    DataColumn("host", _TEXT, "", "host of the fleet that ran it; empty without a fleet"),
    DataColumn("factor", _REAL, "", "speed of that machine then, over that of the first one"),
    DataColumn("factor_log_error", _REAL, "", "standard error of the factor's logarithm"),
    DataColumn("attempt", _WHOLE, "", "number of that run in the study; 0 without a fleet"),
    DataColumn("started_at", _MOMENT, "UTC", "when it began"),
    DataColumn("finished_at", _MOMENT, "UTC", "when it ended"),
)

_LOAD_POINTS = (
    *_OF_TRIAL,
    _PARAMETER,
    DataColumn("position", _WHOLE, "", "order within the trial, from 0"),
    DataColumn("phase", _TEXT, "", "what it was measured for: `unloaded`, `search`, ..."),
    DataColumn("kind", _TEXT, "", "`open` or `closed` loop"),
    DataColumn("load", _REAL, "requests/s, or requests", "rate of an open loop, concurrency"),
    DataColumn("duration_s", _REAL, _SECONDS, "how long it was measured"),
    DataColumn("throughput", _REAL, _RATE, "what was answered"),
    DataColumn("requests", _WHOLE, "requests", "how many were measured"),
    DataColumn("mean_s", _REAL, _SECONDS, "mean latency"),
    *(
        DataColumn(f"p{q}_s", _REAL, _SECONDS, f"percentile {q} of the latency")
        for q in _PERCENTILES
    ),
    *(
        DataColumn(f"first_p{q}_s", _REAL, _SECONDS, f"percentile {q} to the first of responses")
        for q in _PERCENTILES
    ),
    *(
        DataColumn(f"itl_p{q}_s", _REAL, _SECONDS, f"percentile {q} of the time between tokens")
        for q in _PERCENTILES
    ),
    *(
        DataColumn(f"whole_p{q}_s", _REAL, _SECONDS, f"percentile {q} to the end of an answer")
        for q in _PERCENTILES
    ),
    DataColumn("output_tokens_per_s", _REAL, "tokens/s", "output tokens that arrived"),
    DataColumn("together", _REAL, "", "share that arrived with the token before"),
    DataColumn("counted_by", _TEXT, "", "who counted the tokens: `server`, `pieces` or `both`"),
    DataColumn("failed", _WHOLE, "requests", "how many failed"),
    DataColumn("unanswered", _WHOLE, "requests", "how many had no answer at the end"),
    DataColumn("reconnected", _WHOLE, "requests", "how many were sent again"),
    DataColumn("send_lag_p99_s", _REAL, _SECONDS, "p99 of how late requests were sent"),
    DataColumn("latency_s", _REAL, _SECONDS, "percentile of the study's latency budget"),
    DataColumn("latency_low_s", _REAL, _SECONDS, "its 95 % interval, from"),
    DataColumn("latency_high_s", _REAL, _SECONDS, "its 95 % interval, to; may be infinite"),
    DataColumn("within", "bool", "", "whether it meets the study's latency budget"),
    DataColumn("stopped_early", _TEXT, "", "why it was stopped early; empty if it was not"),
    DataColumn("runs", _WHOLE, "", "how often it was measured"),
    DataColumn("disturbed", _TEXT, "", "what disturbed it, after commas"),
    DataColumn("engine_cpu_s", _REAL, _SECONDS, "processor time of the load engine"),
    DataColumn("priority", _TEXT, "", "scheduling of the load engine"),
    DataColumn("cpu_s", _REAL, _SECONDS, "processor time of the server meanwhile"),
    DataColumn("memory_bytes", _REAL, "bytes", "most resident memory of the server"),
    DataColumn("energy_j", _REAL, "J", "energy of all GPUs meanwhile"),
)

_VERIFICATIONS = (
    *_OF_TRIAL,
    DataColumn("parameter", _TEXT, "", "name of the parameter"),
    DataColumn("value", _TEXT, "", "what it was set to"),
    DataColumn("grade", _TEXT, "", "`confirmed`, `accepted` or `refuted`"),
    DataColumn("found", _TEXT, "", "what was found instead; empty unless refuted"),
)

COLUMNS: Mapping[StudyTable, tuple[DataColumn, ...]] = {
    StudyTable.TRIALS: _TRIALS,
    StudyTable.LOAD_POINTS: _LOAD_POINTS,
    StudyTable.VERIFICATIONS: _VERIFICATIONS,
}
