"""Why a trial failed, in the server's own words, and what to change where that is known."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState

# A line of a server's log that says what went wrong; a traceback ends with it.
_COMPLAINT = re.compile(
    r"\b(error|fail(ed|ure|s)?|unable|cannot|could not|can't|exception|fatal|invalid|unknown|"
    r"unrecogni[sz]ed|out of memory|no such|not found|refused|denied|abort(ed)?|killed)\b|"
    r"^E\d{4} |Error:|Exception:",
    re.IGNORECASE,
)
# What differs from one line to the next that says the same: times, addresses, process ids.
_NUMBER = re.compile(r"0x[0-9a-f]+|\d[\d.:]*", re.IGNORECASE)
_MEMORY = "fewer instances or workers, smaller batches, or more memory"
# What a log says, and what to do about it; the first that fits counts.
_CURES = (
    (
        re.compile(r"CUDA.*out of memory|cudaMalloc|CUBLAS_STATUS_ALLOC", re.IGNORECASE),
        "fewer instances on a GPU, or smaller batches: `instance_count`, `max_batch_size`",
    ),
    (re.compile(r"std::bad_alloc|out of memory|MemoryError", re.IGNORECASE), _MEMORY),
    (
        re.compile(r"shared memory|/dev/shm|shm_open|No space left on device.*shm", re.IGNORECASE),
        "more shared memory: `--shm-size 1g` in Docker, or a larger /dev/shm",
    ),
    (
        re.compile(r"address already in use|failed to bind|bind.*in use", re.IGNORECASE),
        "end the program that has its port",
    ),
    (
        re.compile(r"cannot open shared object file|libraries: (\S+)|DLL load failed"),
        "install the library that it names, or search without the parameter that needs it",
    ),
    (
        re.compile(
            r"unrecogni[sz]ed (option|argument)|unknown (option|flag|argument)|no such option"
        ),
        "search without the parameter whose flag this version of the server does not have",
    ),
    (re.compile(r"No module named"), "install the Python package that the model imports"),
    (
        re.compile(
            r"parsing failed|failed to parse|corrupt|invalid model|unsupported.*model file"
        ),
        "mend the model's files: the server cannot read one of them",
    ),
    (re.compile(r"No space left on device"), "make room on the disk"),
    (re.compile(r"permission denied", re.IGNORECASE), "let the server read what it is denied"),
    (
        re.compile(r"too many open files", re.IGNORECASE),
        "a higher limit of open files: `ulimit -n`",
    ),
)
_CURES_OF_REASONS = {
    Reason.OUT_OF_MEMORY: _MEMORY,
    Reason.START_TIMEOUT: "more time to start: `--start-timeout 5m`",
    Reason.CLIENT_OVERLOADED: "processors of its own for the load engine: `--engine-cpus`",
    Reason.INTERRUPTED: "find out who ends processes of this machine",
    Reason.WRONG_OUTPUT: "if the outputs may be so far from the defaults': `--tolerance 0.05`",
}


@dataclass(frozen=True)
class FailureGroup:
    """Trials that failed for the same reason and say the same but for numbers, in their order."""

    trials: tuple[TrialRecord, ...]

    @property
    def last(self) -> TrialRecord:
        """The one that is shown for all."""
        return self.trials[-1]


def groups(trials: Iterable[TrialRecord]) -> tuple[FailureGroup, ...]:
    """What failed among `trials`, the most frequent first."""
    alike: dict[tuple[Reason | None, str], list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        if trial.state is TrialState.FAILED:
            said = complaint(trial) or trial.message
            alike[trial.reason, _NUMBER.sub("N", said)].append(trial)
    return tuple(
        FailureGroup(tuple(each)) for each in sorted(alike.values(), key=lambda each: -len(each))
    )


def complaint(trial: TrialRecord) -> str:
    """The line of the server's log that says why; its last one if none does, empty without a log.

    Of several it is the last: what comes before led to it.
    """
    lines = [line.strip() for line in trial.log_tail.splitlines() if line.strip()]
    said = [line for line in lines if _COMPLAINT.search(line)]
    return (said or lines or [""])[-1]


def cure(trial: TrialRecord) -> str:
    """What to change; empty where nobody knows, or nothing failed."""
    if trial.reason is None:
        return ""
    text = f"{trial.message}\n{trial.log_tail}"
    known = (what for pattern, what in _CURES if pattern.search(text))
    return next(known, _CURES_OF_REASONS.get(trial.reason, ""))
