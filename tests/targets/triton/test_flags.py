"""Triton's flags: offered where the server has them, and proved by what it logs at its start."""

import logging
from dataclasses import replace

import pytest

from tests.spaces import choice, integer, space
from tuner.records import SettingVerdict
from tuner.space.expressions import Value
from tuner.space.settings import ServerFlag
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.triton import flags as triton_flags
from tuner.targets.triton import install as triton_install

NO_PINNED = "Unable to allocate pinned system memory"
# As 2.51 writes them, on a machine with one GPU.
LOG = """
I1127 1 pinned_memory_manager.cc:277] "Pinned memory pool is created at '0x7f' with size 67108864"
I1127 1 cuda_memory_manager.cc:107] "CUDA memory pool is created on device 0 with size 268435456"
I1127 1 tritonserver.cc:2598]
+----------------------------------+--------------------------+
| Option                           | Value                    |
+----------------------------------+--------------------------+
| server_version                   | 2.51.0                   |
| server_extensions                | classification sequence  |
| rate_limit                       | EXEC_COUNT               |
| pinned_memory_pool_byte_size     | 67108864                 |
| cuda_memory_pool_byte_size{0}    | 268435456                |
| min_supported_compute_capability | 6.0                      |
| cache_enabled                    | 1                        |
+----------------------------------+--------------------------+
"""


def front_end() -> SearchSpace:
    """A flag that every Triton has, one that the wheel's has not, and none at all."""
    newer = replace(integer("grpc", when="http > 0"), sets=ServerFlag("--grpc-infer-thread-count"))
    http = replace(integer("http"), sets=ServerFlag("--http-thread-count"))
    return space(http, newer, hints=(Configuration.of({"http": 2, "grpc": 2}),))


class TestUsable:
    def test_of_the_installed_server(self, caplog: pytest.LogCaptureFixture) -> None:
        """What `tritonserver --help` does not name is not offered, and a warning says so."""
        if not triton_install.options():
            pytest.skip("Triton is not installed: pip install 'serving-tuner[triton]'")
        if "--grpc-infer-thread-count" in triton_install.options():
            pytest.skip("this Triton has all flags of the test")
        with caplog.at_level(logging.WARNING):
            usable = triton_flags.usable(front_end())

        assert [p.name for p in usable.parameters] == ["http"]
        assert [dict(hint) for hint in usable.hints] == [{"http": 2}]
        assert caplog.messages == [
            "`grpc` is left out: Triton has no flag `--grpc-infer-thread-count`"
        ]

    def test_without_a_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nobody can be asked, nothing is left out."""
        monkeypatch.setattr(triton_install, "options", frozenset)
        assert triton_flags.usable(front_end()) == front_end()

    def test_other_settings(self) -> None:
        """Only flags are looked at."""
        other = space(choice("a", "b"), integer("http-thread-count"))
        assert triton_flags.usable(other) == space(integer("http-thread-count"))


class TestVerdict:
    @pytest.mark.parametrize(
        ("flag", "value", "expected"),
        [
            ("--rate-limit", "execution_count", CONFIRMED),
            (
                "--rate-limit",
                "off",
                refuted("the log says rate_limit = EXEC_COUNT"),
            ),
            ("--pinned-memory-pool-byte-size", 67108864, CONFIRMED),
            (
                "--pinned-memory-pool-byte-size",
                1073741824,
                refuted("the log says pinned_memory_pool_byte_size = 67108864"),
            ),
            ("--cuda-memory-pool-byte-size", "0:268435456", CONFIRMED),
            (
                "--cuda-memory-pool-byte-size",
                "0:67108864",
                refuted("the log says cuda_memory_pool_byte_size{0} = 268435456"),
            ),
            ("--cuda-memory-pool-byte-size", "1:67108864", ACCEPTED),
            ("--cache-config", "local,size=1048576", CONFIRMED),
            ("--http-thread-count", 4, ACCEPTED),
            ("--server", "2.51.0", ACCEPTED),
        ],
    )
    def test_the_table_of_options(self, flag: str, value: Value, expected: SettingVerdict) -> None:
        """What the table has is confirmed or refuted; what it has not is accepted."""
        assert triton_flags.flag_verdict(flag, value, log=LOG) == expected

    def test_without_a_log(self) -> None:
        """A server of somebody else shows no log: its flags are accepted."""
        assert triton_flags.flag_verdict("--rate-limit", "off", log="") == ACCEPTED

    @pytest.mark.parametrize(
        ("flag", "value", "said"),
        [
            ("--pinned-memory-pool-byte-size", 67108864, NO_PINNED),
            ("--cuda-memory-pool-byte-size", "0:268435456", "CUDA memory pool disabled"),
        ],
    )
    def test_a_pool_that_there_is_not(self, flag: str, value: Value, said: str) -> None:
        """The table has the size that was asked for even if there is no such memory."""
        assert triton_flags.flag_verdict(
            flag, value, log=f'W1 "{said}: no driver"{LOG}'
        ) == refuted(f"the log says `{said}`")
