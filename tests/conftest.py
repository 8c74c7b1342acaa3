"""Rules for all tests: a skip is a failure where nothing may be missing."""

import os
from collections.abc import Generator

import pytest

pytest_plugins = [
    "tests.load.fixtures",
    "tests.measuring",
    "tests.servers.fixtures",
    "tests.targets.fixtures",
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TUNER_NO_SKIP (set by .ci/run), what a test lacks must be installed, not skipped."""
    report = yield
    if report.skipped and os.environ.get("TUNER_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but TUNER_NO_SKIP is set: {call.excinfo}"
    return report
