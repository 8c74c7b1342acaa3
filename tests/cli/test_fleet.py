"""`--fleet` and `--group`, and the commands about the hosts of a fleet, without a Ray cluster."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated_fleet import HARDWARE
from tests.command_line import Tuner, error
from tests.refusals import each_refusal, refused
from tests.report import studies
from tests.store.test_storage import stored
from tuner.cli import fleet, fleet_doctor
from tuner.cli.job import job
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.runner_options import RunnerChoice
from tuner.fleet import inventory
from tuner.fleet.admission import Refusal
from tuner.fleet.host_facts import HostFacts, Versions
from tuner.fleet.inventory import FoundHost
from tuner.goals import SearchBudget
from tuner.hardware import Hardware
from tuner.store.events import EventKind
from tuner.store.hosts import HostRecord, HostState
from tuner.store.ownership import held
from tuner.store.storage import Storage
from tuner.watch.host_checks import Check

LARGE = replace(HARDWARE, processor="Xeon", hostname="gpu-1")
SMALL = replace(LARGE, cores=4, hostname="small")
HOSTS = {"gpu-1": LARGE, "gpu-2": replace(LARGE, hostname="gpu-2", numactl=False), "small": SMALL}
FINE = Check("processors", "16")
MOMENT = datetime(2026, 3, 8, 1, 0, tzinfo=UTC)
EXAMPLE = "for example: `--fleet auto` on a machine of the Ray cluster, or `ray://HOST:10001`"
REFUSED = [
    (
        {"fleet"},
        ("here", "ray://", "ray://head", "ray://head:0", "ray://head:99999", "http://head:1"),
        "`--fleet` must be `auto` or ray://HOST:PORT, but got `{}`",
        EXAMPLE,
    ),
]


def options(**said: Any) -> OptimizeOptions:
    return OptimizeOptions(budget_ms=50, **said)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Hardware]], None]:
    """Has a fleet with these hosts answer."""

    def have(hosts: Mapping[str, Hardware]) -> None:
        found = [found_host(name, hardware) for name, hardware in hosts.items()]
        monkeypatch.setattr(inventory, "fit_hosts", lambda _: hosts)
        monkeypatch.setattr(
            inventory,
            "inventory",
            lambda _, *, without: [each for each in found if each.name not in without],
        )

    return have


def found_host(name: str, hardware: Hardware, **more: Any) -> FoundHost:
    versions = Versions(python="3.11", tuner="1.0", code="0", ray="2.50.0")
    facts = HostFacts(
        versions, hardware, 1 << 40, ("tritonserver",), "20.10", ("tritonserver:latest",), (FINE,)
    )
    return FoundHost(name, "10.0.0.1", facts, **more)


@pytest.mark.parametrize(("names", "value", "message", "hint"), each_refusal(REFUSED))
def test_addresses_that_are_none(names: set[str], value: str, message: str, hint: str) -> None:
    """Before anything is asked."""
    with refused(message, hint):
        job(options(**dict.fromkeys(names, value)))


@pytest.mark.parametrize(
    "value", ["auto", "ray://head:10001", "ray://10.0.0.1:1", "ray://[::1]:2"]
)
def test_addresses(value: str) -> None:
    """The cluster of this machine, or a head's port for clients."""
    assert job(options(fleet=value)).fleet == value


def test_a_server_that_runs_is_no_fleet() -> None:
    """It is one, and somebody else's."""
    said = options(fleet="auto", runner=RunnerChoice.REMOTE, url="http://127.0.0.1:8000")
    with refused(
        "`--fleet` means nothing to `--runner remote`: that server runs already, and is one",
        "leave one of them out",
    ):
        job(said)


def test_a_group_of_no_fleet() -> None:
    """It would be believed to have chosen something."""
    with refused("`--group` means nothing without `--fleet`"):
        job(options(group="gpu-1"))


def test_processors_and_folders_are_those_of_the_hosts() -> None:
    """The driver's machine may be a notebook."""
    found = job(
        options(
            fleet="auto",
            server_cpus="0-255",
            runner=RunnerChoice.DOCKER,
            image="server:1",
            mount=[Path("/only/there")],
        )
    )

    assert len(found.server_cpus) == 256
    assert found.place is not None


def test_the_space_is_that_of_the_group(
    there: Callable[[Mapping[str, Hardware]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its bounds are what each of its hosts has, and these are named."""
    there(HOSTS)

    prepared = fleet.prepared_for_hosts(job(options(fleet="auto")))

    assert prepared.study.hardware["cores"] == 16
    assert prepared.study.hardware["numactl"] is False
    assert prepared.study.options["group"] == LARGE.kind
    assert capsys.readouterr().err.splitlines() == [
        f"fleet auto: gpu-1, gpu-2 (group {LARGE.kind}) measure",
    ]


@pytest.mark.parametrize("group", [SMALL.kind, "small"])
def test_another_group(there: Callable[[Mapping[str, Hardware]], None], group: str) -> None:
    """By its name, or by that of a host."""
    there(HOSTS)

    prepared = fleet.prepared_for_hosts(job(options(fleet="auto", group=group)))

    assert (prepared.job.group, prepared.study.hardware["cores"]) == (SMALL.kind, 4)


def test_the_study_is_the_same_whoever_is_there(
    there: Callable[[Mapping[str, Hardware]], None],
) -> None:
    """A host that is gone when the study goes on does not make another study of it."""
    there(HOSTS)
    both = fleet.prepared_for_hosts(job(options(fleet="auto", study="night"))).study
    there({"gpu-2": HOSTS["gpu-2"]})
    one = fleet.prepared_for_hosts(job(options(fleet="auto", study="night"))).study

    assert one.hardware["fingerprint"] == both.hardware["fingerprint"]


def test_a_group_that_is_not_there(
    tuner: Tuner, there: Callable[[Mapping[str, Hardware]], None]
) -> None:
    """Those that there are stand in the hint."""
    there(HOSTS)

    assert tuner("plan", "--budget-ms", "50", "--fleet", "auto", "--group", "gpu-7") == error(
        "`--group gpu-7`: the fleet has no such group, and no host of that name",
        f"its groups: {LARGE.kind} (gpu-1, gpu-2), {SMALL.kind} (small)",
    )


NIGHT = replace(studies.night(), name="night", options={"budget_ms": 50.0, "fleet": "auto"})


def host(name: str, state: HostState, **more: Any) -> HostRecord:
    hardware = HOSTS[name]
    return HostRecord(
        name=name,
        kind=hardware.kind,
        hardware=hardware.as_record(),
        state=state,
        changed_at=MOMENT,
        **more,
    )


@pytest.fixture
def database(folder: Path) -> str:
    """A study on a fleet, and one on a machine."""
    path = folder / "studies.db"
    stored(path, NIGHT, replace(studies.small_study(), name="day"))
    with (
        Storage(str(path)) as storage,
        held(storage, "night", limits=SearchBudget().as_record()) as hold,
    ):
        hold.record_all(
            (),
            [
                host("gpu-1", HostState.MEASURING, trial=31, attempt=40),
                host("gpu-2", HostState.ASIDE, why="it is 20 % slower", attempt=38),
            ],
        )
    return str(path)


def test_hosts_of_a_study(tuner: Tuner, database: str) -> None:
    """As its driver has seen them last; the fleet is not asked."""
    with Storage(database) as storage, held(storage, "night", limits=SearchBudget().as_record()):
        text, document = tuner.both("fleet", "status", "night", "--db", database)

    lines = [line.split() for line in text.splitlines()]
    assert ["gpu-1", LARGE.kind, "measuring", "-", "trial", "31"] in lines
    assert ["gpu-2", LARGE.kind, "aside", "-", "it", "is", "20", "%", "slower"] in lines
    assert f"group {LARGE.kind}: 16 cores, 64 GiB, Xeon, 1 GPU" in text
    assert [(each["host"], each["state"], each["trial"]) for each in document] == [
        ("gpu-1", "measuring", 31),
        ("gpu-2", "aside", None),
    ]


def test_hosts_of_a_study_that_nobody_runs(tuner: Tuner, database: str) -> None:
    """Whoever was killed could not say that they measure nothing any more."""
    document = tuner("fleet", "status", "night", "--db", database, "--json").json

    assert [(each["state"], each["trial"]) for each in document] == [
        ("dismissed", None),
        ("aside", None),
    ]


def test_a_study_without_a_fleet_has_no_hosts(tuner: Tuner, database: str) -> None:
    """What to do instead is said."""
    assert tuner("fleet", "status", "day", "--db", database) == error(
        "study `day` has no fleet: one machine measured it",
        "leave out the name to see the hosts that there are now",
    )


def test_hosts_of_a_fleet(
    tuner: Tuner, database: str, there: Callable[[Mapping[str, Hardware]], None]
) -> None:
    """With what those do that a study has, which runs now."""
    there(HOSTS)

    idle = tuner("fleet", "status", "--db", database, "--json").json
    with Storage(database) as storage, held(storage, "night", limits=SearchBudget().as_record()):
        busy = tuner("fleet", "status", "--db", database, "--json").json

    assert [(each["host"], each["state"]) for each in idle] == [
        ("gpu-1", "ready"),
        ("gpu-2", "ready"),
        ("small", "ready"),
    ]
    assert [(each["study"], each["trial"]) for each in busy] == [
        ("night", 31),
        ("night", None),
        (None, None),
    ]


def test_a_status_has_the_hosts(tuner: Tuner, database: str) -> None:
    """Of a study on a fleet; of another one, none."""
    text, document = tuner.both("status", "night", "--db", database)

    assert [each["host"] for each in document["hosts"]] == ["gpu-1", "gpu-2"]
    assert "it is 20 % slower" in text
    assert tuner("status", "day", "--db", database, "--json").json["hosts"] == []


def test_what_a_study_does_on_its_hosts(tuner: Tuner, database: str) -> None:
    """Which trials, on how many of them."""
    limits = SearchBudget().as_record()
    with Storage(database) as storage, held(storage, "night", limits=limits) as hold:
        hold.record(EventKind.TRIAL_BEGAN, {"purpose": "search", "configuration": {}}, trial=31)
        hold.record(EventKind.PHASE_BEGAN, {"phase": "saturation"}, trial=31)
        found = tuner("status", "night", "--db", database, "--json").json

    assert found["doing"] == "trial 31 on 1 of 2 hosts"
    assert [each["phase"] for each in found["hosts"]] == ["saturation", None]


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is fit, one that lacks an image, and one that can take part in nothing."""
    slow = Check("governor", "powersave", False, "it is slow", "cpupower")
    late = Refusal("its clock is 9.0 s behind the driver's", "set it by NTP there")
    fit = found_host("gpu-1", LARGE)
    assert fit.facts is not None
    bare = replace(fit.facts, images=(), checks=(FINE, slow))
    found = (
        fit,
        replace(fit, name="gpu-2", facts=bare),
        FoundHost("gpu-3", "10.0.0.3", refusal=late),
    )
    monkeypatch.setattr(fleet_doctor, "inventory", lambda _, *, checks: found if checks else ())


@pytest.mark.usefixtures("examined")
def test_a_doctor_of_all_hosts(tuner: Tuner) -> None:
    """Each finding says what it costs, and what to change."""
    found = tuner("fleet", "doctor", "--image", "tritonserver")

    assert (found.status, found.err) == (
        1,
        "error: not fit for measuring: gpu-2, gpu-3\nhint: each finding says what to do\n",
    )
    lines = found.out.splitlines()
    assert "ok   image: tritonserver: there" in lines
    assert "bad  image: tritonserver: not there" in lines
    assert "bad  governor: powersave" in lines
    assert "bad  host: its clock is 9.0 s behind the driver's" in lines
    assert "     change: set it by NTP there" in [line.rstrip() for line in lines]


@pytest.mark.usefixtures("examined")
def test_a_doctor_as_json(tuner: Tuner) -> None:
    """A document for each host, with its group where it is known."""
    document = tuner("fleet", "doctor", "--json").json

    assert [(each["host"], each["group"], each["fit"]) for each in document] == [
        ("gpu-1", LARGE.kind, True),
        ("gpu-2", LARGE.kind, False),
        ("gpu-3", None, False),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("optimize", "--budget-ms", "50", "--fleet", "auto"),
        ("fleet", "status"),
        ("fleet", "doctor"),
    ],
)
def test_without_ray(
    tuner: Tuner, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """One message, with what to install."""
    for name in [each for each in sys.modules if each.startswith("tuner.fleet.ray_")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("tuner.fleet.inventory", "tuner.cli.fleet_doctor"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)

    assert tuner(*words) == error(
        "the command needs the package ray, which is not installed",
        "pip install 'serving-tuner[fleet]'",
        status=1,
    )
