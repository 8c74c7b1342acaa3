"""What took the machine's time from a load point, beside the server and the load engine."""

import math
import os
from pathlib import Path

import psutil
import pytest

from tuner.watch.disturbances import (
    Disturbance,
    HostReading,
    HostWindow,
    UsualHost,
    host_reading,
    host_watched,
)
from tuner.watch.host_checks import Machine


def test_amounts_are_shares_and_rates() -> None:
    """Of two seconds: of the processors for others and the quota, MiB and times a second."""
    cores = psutil.cpu_count() or 1
    window = HostWindow(
        HostReading(10.0, 10.0, 1.0, 1.0, 5 << 20, 3),
        HostReading(12.0, 10.0 + cores, 1.0 + 0.1 * cores, 1.0 + 0.5 * cores, 7 << 20, 4),
    )

    assert window.amounts(served_s=0.5 * cores) == {
        Disturbance.OTHERS: pytest.approx(0.2),
        Disturbance.QUOTA: pytest.approx(0.25),
        Disturbance.SWAP: 1.0,
        Disturbance.HEAT: 0.5,
    }


def test_nobody_knows_what_others_took_where_the_server_was_not_watched() -> None:
    """Its own time would be that of others."""
    amounts = HostWindow(HostReading(), HostReading(1.0, 1.0)).amounts(served_s=math.nan)
    assert math.isnan(amounts[Disturbance.OTHERS])


class TestUsualHost:
    def test_the_first_load_point_is_what_is_usual(self) -> None:
        """Whatever others took of it."""
        assert UsualHost().disturbed({Disturbance.OTHERS: 0.9}) == ()

    def test_more_than_before_disturbs(self) -> None:
        """By a tenth of the processors."""
        usual = UsualHost()
        usual.disturbed({Disturbance.OTHERS: 0.1})

        assert usual.disturbed({Disturbance.OTHERS: 0.19}) == ()
        assert usual.disturbed({Disturbance.OTHERS: 0.21}) == (Disturbance.OTHERS,)

    def test_what_lasts_is_usual(self) -> None:
        """After five load points, what others take is a part of what the machine is."""
        usual = UsualHost()
        found = [usual.disturbed({Disturbance.OTHERS: share}) for share in (0.0, *[0.3] * 7)]

        assert found == [(), *[(Disturbance.OTHERS,)] * 5, (), ()]

    def test_quota_swap_and_heat_are_told_of_each_time(self) -> None:
        """They may be the doing of what is measured: nothing is usual of them."""
        usual = UsualHost()
        amounts = {Disturbance.QUOTA: 0.03, Disturbance.SWAP: 1.0, Disturbance.HEAT: 0.5}

        for _ in range(7):
            assert usual.disturbed(amounts) == (Disturbance.QUOTA, Disturbance.HEAT)

    def test_what_is_not_known_is_not_remembered(self) -> None:
        """The next that is known is the first."""
        usual = UsualHost()
        usual.disturbed({Disturbance.OTHERS: math.nan})
        assert usual.disturbed({Disturbance.OTHERS: 0.5}) == ()


def test_the_kernel_is_read(tmp_path: Path) -> None:
    """Swapped pages, the longest wait of a group that we are in, all processors that were hot."""
    machine = Machine(proc=tmp_path / "proc", sys=tmp_path / "sys")
    files = {
        "proc/vmstat": "nr_free_pages 7\npswpin 3\npswpout 4\n",
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/cpu.stat": "usage_usec 9\nthrottled_usec 250000\n",
        "sys/fs/cgroup/a/cpu.stat": "usage_usec 9\nthrottled_usec 500000\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 9\n",
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "2\n",
        "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "5\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    found = host_reading(machine)
    swapped = 7 * os.sysconf("SC_PAGE_SIZE")
    assert (found.waited_s, found.swapped_bytes, found.throttled) == (0.5, swapped, 7)


def test_a_machine_that_counts_nothing_is_quiet(tmp_path: Path) -> None:
    """No file is there."""
    found = host_reading(Machine(proc=tmp_path, sys=tmp_path))
    assert (found.waited_s, found.swapped_bytes, found.throttled) == (0.0, 0, 0)


def test_both_ends_are_read() -> None:
    """Of this machine: processors never work backwards."""
    with host_watched() as window:
        sum(range(100_000))
    assert 0 < window.begin.busy_s <= window.end.busy_s
