"""Why a trial failed: the server's own line that says so, and what to change."""

import pytest

from tests.report import studies
from tuner.errors import Reason
from tuner.report.failures import complaint, cure, groups

LOG = """
I0307 22:00:01 server.cc:1] Starting
E0307 22:00:02 model.cc:7] failed to load 'bert': CUDA out of memory
I0307 22:00:03 server.cc:9] Waiting for in-flight requests
I0307 22:00:04 server.cc:9] Timeout 30: Found 0 live models
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (LOG, "E0307 22:00:02 model.cc:7] failed to load 'bert': CUDA out of memory"),
        ("all is well\ngoodbye\n\n", "goodbye"),
        ("Traceback:\n  File 'a'\nValueError: too large\n", "ValueError: too large"),
        ("", ""),
    ],
)
def test_the_line_that_says_why(log: str, line: str) -> None:
    """Not the one that happens to be the last, unless no other complains."""
    assert complaint(studies.failed(1, Reason.CRASHED, "it was gone", log)) == line


@pytest.mark.parametrize(
    ("reason", "log", "what"),
    [
        (Reason.START_FAILED, LOG, "fewer instances on a GPU"),
        (Reason.CRASHED, "terminate called: std::bad_alloc", "fewer instances or workers"),
        (Reason.OUT_OF_MEMORY, "", "fewer instances or workers"),
        (Reason.START_FAILED, "unable to create shared memory region", "`--shm-size 1g`"),
        (Reason.START_FAILED, "bind: Address already in use", "has its port"),
        (Reason.START_FAILED, "libfoo.so.1: cannot open shared object file", "the library"),
        (Reason.START_FAILED, "tritonserver: unrecognized option '--x'", "whose flag"),
        (Reason.NOT_READY, "ModuleNotFoundError: No module named 'torch'", "Python package"),
        (Reason.START_FAILED, "[ONNXRuntimeError] Protobuf parsing failed", "mend the model"),
        (Reason.CRASHED, "write: No space left on device", "make room"),
        (Reason.START_FAILED, "open model.pt: Permission denied", "let the server read"),
        (Reason.CRASHED, "accept: Too many open files", "`ulimit -n`"),
        (Reason.START_TIMEOUT, "", "`--start-timeout 5m`"),
        (Reason.CLIENT_OVERLOADED, "", "`--engine-cpus`"),
        (Reason.INTERRUPTED, "", "who ends processes"),
        (Reason.WRONG_OUTPUT, "", "`--tolerance 0.05`"),
    ],
)
def test_what_to_change(reason: Reason, log: str, what: str) -> None:
    """Where the log or the reason tells; the log knows better."""
    assert what in cure(studies.failed(1, reason, "the server ended", log))


def test_where_nobody_knows() -> None:
    """Nothing is made up; and nothing is to be mended of a trial that was measured."""
    assert cure(studies.failed(1, Reason.REFUTED, "it did not take effect", "all is well")) == ""
    assert cure(studies.baseline()) == ""


def test_failures_that_say_the_same() -> None:
    """They are one group, whatever their times and addresses; the largest group is first."""
    trials = [
        studies.failed(1, Reason.CRASHED, "it was gone", "error at 0x7f01"),
        studies.failed(2, Reason.START_FAILED, "no answer", "E0307 22:00:02 model: failed"),
        studies.failed(3, Reason.START_FAILED, "no answer", "E0307 23:59:59 model: failed"),
        studies.failed(4, Reason.START_FAILED, "no answer", "E0307 23:59:59 flag: unknown"),
        studies.trial(5, 100.0),
    ]

    found = groups(trials)

    assert [[trial.number for trial in group.trials] for group in found] == [[2, 3], [1], [4]]
