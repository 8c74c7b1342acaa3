"""What took the machine's time from a load point, beside the server and the load engine."""

import math
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
    """Of two seconds: the time of others, of the quota, what was swapped, how often it was hot."""
    cores = psutil.cpu_count() or 1
    window = HostWindow(HostReading(10.0, 1.0, 512, 3), HostReading(10.0 + cores, 1.5, 1024, 4))

    assert window.amounts(2.0, own_s=0.5 * cores) == {
        Disturbance.OTHERS: pytest.approx(0.25),
        Disturbance.QUOTA: 0.25,
        Disturbance.SWAP: 1.0,
        Disturbance.HEAT: 0.5,
    }


def test_nobody_knows_what_others_took_where_the_server_was_not_watched() -> None:
    """Its own time would be that of others."""
    amounts = HostWindow(HostReading(), HostReading(1.0)).amounts(1.0, own_s=math.nan)
    assert math.isnan(amounts[Disturbance.OTHERS])


class TestUsualHost:
    def test_the_first_load_point_is_what_is_usual(self) -> None:
        """Whatever there was."""
        assert UsualHost().disturbed({Disturbance.OTHERS: 0.9}) == ()

    def test_more_than_before_disturbs(self) -> None:
        """By a tenth of the processors, each thing by itself."""
        usual = UsualHost()
        usual.disturbed({Disturbance.OTHERS: 0.1, Disturbance.HEAT: 0.0})

        assert usual.disturbed({Disturbance.OTHERS: 0.19, Disturbance.HEAT: 0.0}) == ()
        assert usual.disturbed({Disturbance.OTHERS: 0.21, Disturbance.HEAT: 0.5}) == (
            Disturbance.OTHERS,
            Disturbance.HEAT,
        )

    def test_what_lasts_is_usual(self) -> None:
        """After five load points, a quota that holds is a part of what the server has."""
        usual = UsualHost()
        found = [usual.disturbed({Disturbance.QUOTA: share}) for share in (0.0, *[0.3] * 7)]

        assert found == [(), *[(Disturbance.QUOTA,)] * 5, (), ()]

    def test_what_is_not_known_is_not_remembered(self) -> None:
        """The next that is known is the first."""
        usual = UsualHost()
        usual.disturbed({Disturbance.OTHERS: math.nan})
        assert usual.disturbed({Disturbance.OTHERS: 0.5}) == ()


def test_the_kernel_is_read(tmp_path: Path) -> None:
    """Swapped pages, the longest wait of a group that we are in, the hottest processor."""
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
    assert (found.waited_s, found.swapped_pages, found.throttled) == (0.5, 7, 5)


def test_a_machine_that_counts_nothing_is_quiet(tmp_path: Path) -> None:
    """No file is there."""
    found = host_reading(Machine(proc=tmp_path, sys=tmp_path))
    assert (found.waited_s, found.swapped_pages, found.throttled) == (0.0, 0, 0)


def test_both_ends_are_read() -> None:
    """Of this machine: processors never work backwards."""
    with host_watched() as window:
        sum(range(100_000))
    assert 0 < window.begin.busy_s <= window.end.busy_s
