"""Rules for all tests: a skip is a failure where nothing may be missing, and no test is random."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# As the command line does it: two processes of tests would fight for the processors.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The same examples each time, and no clock: benchmarks/fuzz_parsers.py is what looks for new ones.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

TESTS = Path(__file__).parent
# Rooms whose tests start no server and load no machine, so that two of them can run at once.
PURE = [
    "analysis",
    "benchmarks",
    "capacity",
    "cli",
    "deploy",
    "docs",
    "hints",
    "exports",
    "fleet",
    "numbers",
    "planning",
    "protocols",
    "report",
    "search",
    "service",
    "space",
    "store",
    "study",
    "sweep",
    "workload",
    "test_errors.py",
    "test_hardware.py",
]
# Modules of these rooms that do start one.
SERVING = [
    "benchmarks/test_chaos.py",
    "cli/test_examples.py",
    "cli/test_measure.py",
    "cli/test_model_files.py",
    "cli/test_prompt_options.py",
    "fleet/test_agent.py",
    "fleet/test_ray_crew.py",
    "protocols/test_generic_http.py",
    "protocols/test_v2_grpc.py",
    "protocols/test_v2_http.py",
    "study/test_deployment.py",
    "study/test_trial.py",
    "study/test_variant_trials.py",
    "sweep/test_http.py",
    "sweep/test_in_process.py",
    "sweep/test_openai.py",
    "sweep/test_tensorflow_serving.py",
    "sweep/test_torchserve.py",
    "sweep/test_v2.py",
]
# What needs the machine, or its Docker engine, for itself.
ALONE = [
    "end_to_end/test_containers.py",
    "end_to_end/test_optimize.py",
    "end_to_end/test_optimize_docker.py",
    "end_to_end/test_optimize_llama_cpp.py",
    "end_to_end/test_optimize_model_file.py",
]
# What needs environments of gigabytes, and is run only where one of these variables names one.
LARGE = {"end_to_end/test_large_servers.py": ("TUNER_VLLM", "TUNER_INFINITY", "TUNER_IPEX")}
# What `make test` asks for, and the mark of the modules that have it.
ASKED = {"pure": "pure", "alone": "alone", "not pure and not alone": None}

pytest_plugins = [
    "tests.fleet.fixtures",
    "tests.load.fixtures",
    "tests.measuring",
    "tests.servers.fixtures",
    "tests.servers.postgres",
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


def _mark(path: Path) -> str | None:
    """`pure` for what needs nothing but a processor, `alone` for what must run so."""
    module = path.relative_to(TESTS)
    if module.as_posix() in ALONE:
        return "alone"
    return "pure" if module.parts[0] in PURE and module.as_posix() not in SERVING else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Modules of which what is asked for would take no test are not imported."""
    for module, variables in LARGE.items():
        if collection_path == TESTS / module and not any(map(os.environ.get, variables)):
            return True
    asked = config.option.markexpr
    if collection_path.suffix == ".py" and asked in ASKED:
        return _mark(collection_path) != ASKED[asked] or None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if mark := _mark(item.path):
            item.add_marker(mark)
