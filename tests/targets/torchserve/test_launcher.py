"""TorchServe's CPU launcher: how its arguments are spelled, and what its log lines prove."""

import pytest

from tuner.records import SettingVerdict
from tuner.space.expressions import Value
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.torchserve.launcher import (
    MODULES,
    argument_verdict,
    arguments,
    launcher_verdict,
)

# Lines of TorchServe 0.12 with PyTorch 2.13.
NOT_RUN = (
    "2026-11-27T08:14:02,114 [WARN ] W-9000-totals_1.0 org.pytorch.serve.wlm.WorkerLifeCycle - "
    "torch.backends.xeon.run_cpu is not available. Proceeding without worker core pinning. For "
    "better performance, please make sure torch.backends.xeon.run_cpu is available.\n"
)
_SAID = (
    "2026-11-27T08:14:03,211 [INFO ] W-{port}-totals_1.0-stdout MODEL_LOG - 2026-11-27 08:14:03,"
    "211 - __main__ - INFO - "
)
_WORKER = "/venv/bin/python -u /venv/ts/model_service_worker.py --sock-type unix\n"
NO_NUMACTL = (
    "2026-11-27T08:14:03,209 [INFO ] W-9000-totals_1.0-stdout MODEL_LOG - 2026-11-27 08:14:03,209 "
    "- __main__ - WARNING - Core binding with numactl is not available. Disabling numactl and "
    "using taskset instead. This may affect performance in multi-socket system; please use "
    "numactl if memory binding is needed.\n"
)


def launched(*bindings: str, threads: int = 1) -> str:
    """What the launcher says of a worker for each of the bindings."""
    return "".join(
        f"{said}OMP_NUM_THREADS={threads}\n{said}{binding} {_WORKER}"
        for port, binding in enumerate(bindings, 9000)
        for said in [_SAID.format(port=port)]
    )


TASKSET = launched("taskset -c 0-0", "taskset -c 1-1")
NUMACTL = launched("numactl -C 0-0 -m 0", "numactl -C 1-1 -m 0")
BOTH = launched("taskset -c 0-15", threads=16) + launched("taskset -c 0-1", threads=2)
USED = refuted("the log shows that numactl was used")
CANNOT = refuted("the log says that numactl cannot be used here")


def threads(numbers: str) -> SettingVerdict:
    return refuted(f"the log shows OMP_NUM_THREADS={numbers}")


class TestArguments:
    VALUES: tuple[tuple[str, Value], ...] = (
        ("--use-logical-core", True),
        ("--disable-numactl", False),
        ("--ncores-per-instance", 2),
        ("--node-id", 0),
        ("--rank", 1),
        ("--multi-instance", True),
        ("--core-list", "0,2-3"),
    )

    def test_arguments(self) -> None:
        """What is true is the bare argument, what is false is left out, 0 is a value."""
        assert arguments(self.VALUES) == (
            "--use-logical-core --ncores-per-instance 2 --node-id 0 --rank 1 --multi-instance "
            "--core-list 0,2-3"
        )

    def test_none(self) -> None:
        """Without arguments, or with none but false ones, there is nothing to be said."""
        assert arguments(()) == arguments([("--rank", False)]) == ""


class TestVerdict:
    @pytest.mark.parametrize("log", ["", TASKSET, NUMACTL, NO_NUMACTL + TASKSET])
    def test_available(self, log: str) -> None:
        """Lines of a launcher that ran prove nothing of the workers that there are now."""
        assert launcher_verdict(log) == ACCEPTED

    @pytest.mark.parametrize("launcher", sorted(MODULES))
    def test_not_available(self, launcher: str) -> None:
        """TorchServe goes on without a launcher that cannot run; its warning refutes it."""
        log = NOT_RUN.replace("torch.backends.xeon.run_cpu", launcher)
        expected = refuted(f"the log says that {launcher} is not available")
        assert launcher_verdict(log) == launcher_verdict(TASKSET + log) == expected


class TestArgumentVerdict:
    @pytest.mark.parametrize(
        ("name", "value", "log", "expected"),
        [
            ("--disable-numactl", True, NUMACTL, USED),
            ("--disable-numactl", True, TASKSET, ACCEPTED),
            ("--disable-numactl", False, NO_NUMACTL + TASKSET, CANNOT),
            ("--disable-numactl", False, NUMACTL, ACCEPTED),
            ("--disable_numactl", True, NUMACTL, USED),  # as Intel's launcher spells it
            ("--ncores-per-instance", 2, launched("taskset -c 0-1", threads=2), CONFIRMED),
            ("--ncores-per-instance", 2, TASKSET, threads("1")),
            ("--ncores-per-instance", 2, BOTH, threads("2, 16")),
            ("--ncores-per-instance", 2, NOT_RUN, ACCEPTED),
            ("--ncore_per_instance", 2, TASKSET, threads("1")),
            ("--use-logical-core", True, TASKSET, ACCEPTED),
            ("--node-id", 0, NUMACTL, ACCEPTED),
        ],
    )
    def test_of_one(self, name: str, value: Value, log: str, expected: SettingVerdict) -> None:
        """What the log tells of an argument decides; of most it tells nothing."""
        assert argument_verdict(name, value, log) == expected
