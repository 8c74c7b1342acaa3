"""The options of a runner: what containers are made of, and what is said of the rest."""

import math
from pathlib import Path
from typing import Any

import pytest

from runners.docker import ContainerSettings
from tests.refusals import each_refusal, refused
from tuner.cli import place
from tuner.cli.job import planned_job
from tuner.cli.optimize_options import PlanOptions
from tuner.cli.runner_options import RunnerChoice, RunnerOptions
from tuner.errors import InputError
from tuner.goals import LatencyBudget
from tuner.study.job import Job, prepare
from tuner.study.placement import Place, RemoteAddress, check_ports, gpu_limit


def docker(**options: Any) -> RunnerOptions:
    return RunnerOptions(**{"runner": RunnerChoice.DOCKER, "image": "server:1", **options})


def test_a_process_is_usual() -> None:
    """Without options, a server is a program of this machine, in no container."""
    assert place.container(RunnerOptions()) is None


def test_an_image_is_enough() -> None:
    """A container has what Docker gives it, unless an option says otherwise."""
    assert place.container(docker()) == ContainerSettings(image="server:1")


def test_everything_a_container_can_get(tmp_path: Path) -> None:
    """Each option has its place; a path is that of this folder, wherever the server looks."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "labels.txt").touch()
    options = docker(
        pull=True,
        memory="1.5g",
        shm_size="512m",
        cpu_quota=1.5,
        gpus="0,GPU-1a",
        cap_add=["SYS_NICE", "IPC_LOCK"],
        ulimit=["memlock=-1", "nofile=65536"],
        mount=[Path("weights"), tmp_path / "labels.txt"],
        network="host",
        user="1000:1000",
    )

    assert place.container(options) == ContainerSettings(
        image="server:1",
        pull=True,
        memory="1.5g",
        shm_size="512m",
        cpu_quota=1.5,
        gpus="0,GPU-1a",
        capabilities=("SYS_NICE", "IPC_LOCK"),
        ulimits={"memlock": -1, "nofile": 65536},
        mounts=(tmp_path / "weights", tmp_path / "labels.txt"),
        network="host",
        user="1000:1000",
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image", "server:1"),
        ("pull", True),
        ("memory", "4g"),
        ("shm_size", "1g"),
        ("cpu_quota", 1.5),
        ("gpus", "all"),
        ("cap_add", ["SYS_NICE"]),
        ("ulimit", ["memlock=-1"]),
        ("mount", [Path("/")]),
        ("network", "host"),
        ("user", "1000"),
    ],
)
def test_options_of_containers_without_one(option: str, value: object) -> None:
    """What a process would silently do without is refused."""
    options: dict[str, Any] = {option: value}
    message = f"`--{option.replace('_', '-')}` means nothing to `--runner process`"
    with refused(message, "add `--runner docker`, or leave it out"):
        place.container(RunnerOptions(**options))


def test_a_container_without_an_image() -> None:
    """The space file may name one; who names none at all is told so."""
    assert place.container(docker(image="")) == ContainerSettings(image="")
    job = Job(budget=LatencyBudget(99, 0.05), place=ContainerSettings(image=""))
    with pytest.raises(InputError, match="`--runner docker` needs an image") as caught:
        prepare(job)
    assert caught.value.hint == "name one that holds the server: `--image NAME`"


def remote(**options: Any) -> RunnerOptions:
    return RunnerOptions(
        **{"runner": RunnerChoice.REMOTE, "url": "http://10.0.0.5:8000", **options}
    )


def test_a_server_of_somebody_else() -> None:
    """Its address is that of the requests; further ports have names."""
    options = remote(port=["management=8081", "metrics=9090"])
    address = RemoteAddress("10.0.0.5", 8000, {"management": 8081, "metrics": 9090})
    assert place.remote(options) == address
    assert place.container(options) is None
    assert place.remote(RunnerOptions()) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            RunnerOptions(url="http://a:1"),
            "`--url` and `--port` mean nothing to `--runner process",
        ),
        (remote(url=""), "`--runner remote` needs the address of the server"),
        (remote(url="grpc://a:1"), "`--url grpc://a:1`: a server is tuned over plain HTTP"),
        (remote(url="https://a:1"), "`--url https://a:1`: a server is tuned over plain HTTP"),
        (remote(port=["8081"]), "`--port` must be NAME=NUMBER, but got `8081`"),
        (remote(port=["a=0"]), "`--port` must be NAME=NUMBER, but got `a=0`"),
        (remote(port=["a=65536"]), "`--port` must be NAME=NUMBER, but got `a=65536`"),
    ],
)
def test_addresses_that_cannot_be_used(options: RunnerOptions, message: str) -> None:
    """What is no address of a server that can be tuned is refused at once."""
    with pytest.raises(InputError) as caught:
        place.remote(options)
    assert caught.value.message.startswith(message)


def test_a_container_elsewhere() -> None:
    """What a container gets means nothing to a server that runs already."""
    with refused("`--memory` means nothing to `--runner remote`"):
        place.container(remote(memory="4g"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repository": Path("a")}, "`--model-repository` means nothing to a remote server"),
        ({"server_cpus": frozenset({0})}, "`--server-cpus` means nothing to a remote server"),
    ],
)
def test_what_a_remote_server_cannot_be_given(options: dict[str, Any], message: str) -> None:
    """What would be silently ignored is refused."""
    address = RemoteAddress("127.0.0.1", 1)
    with pytest.raises(InputError, match=message):
        prepare(Job(budget=LatencyBudget(99, 0.05), place=address, **options))


def test_an_address_beside_a_container() -> None:
    """A container has no address that somebody could give."""
    options = PlanOptions(budget_ms=50, runner=RunnerChoice.DOCKER, image="a", url="http://a:1")
    with pytest.raises(InputError, match="`--url` and `--port` mean nothing to `--runner docker`"):
        planned_job(options)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"ports": {"management": 1}}, "`--port management=...` means nothing to triton"),
        (
            {"space": "server: command\nserve: {command: [a], request: {path: /}}\n"},
            "a server of the kind `command` cannot be changed while it runs",
        ),
    ],
)
def test_servers_that_cannot_be_tuned_from_afar(
    tmp_path: Path, job: dict[str, Any], message: str
) -> None:
    """A server must have what is asked of it, and be one that can be changed while it runs."""
    space = tmp_path / "space.yaml"
    space.write_text(
        job.get("space", "server: triton\n")
        + "parameters: {n: {type: boolean, default: true, sets: {flag: --n}}}\n"
    )
    address = RemoteAddress("127.0.0.1", 1, job.get("ports", {}))
    wanted = Job(budget=LatencyBudget(99, 0.05), space_file=space, place=address)
    with pytest.raises(InputError) as caught:
        prepare(wanted)
    assert caught.value.message.startswith(message)


def test_a_port_for_what_is_not_spoken() -> None:
    """A port for gRPC changes nothing about requests over HTTP."""
    address = RemoteAddress("127.0.0.1", 1, {"grpc": 9001})
    check_ports(address, grpc=True)
    check_ports(RemoteAddress("127.0.0.1", 1), grpc=False)
    message = "`--port grpc=...` means nothing to requests over HTTP"
    with refused(message, "leave it out, or give `--protocol grpc`"):
        check_ports(address, grpc=False)


@pytest.mark.parametrize(
    ("place", "limit"),
    [
        (None, None),
        (ContainerSettings(image="a", gpus="all"), None),
        (ContainerSettings(image="a", gpus="0,2"), 2),
        (ContainerSettings(image="a"), 0),
    ],
)
def test_gpus_of_a_server(place: Place, limit: int | None) -> None:
    """A container has those GPUs only that it is given; anywhere else nothing takes them away."""
    assert gpu_limit(place) == limit


@pytest.mark.parametrize("text", ["0", "4096", "1b", "64k", "512m", "4g", "4G", "0.5g"])
def test_sizes(text: str) -> None:
    """A size is as Docker reads it: a number with or without a unit."""
    container = place.container(docker(memory=text, shm_size=text))
    assert container is not None
    assert (container.memory, container.shm_size) == (text, text)


NO_SIZES = ("g", "4t", "4 g", "4gb", "-1", "1e3", ".5g", "4g\n", "half")
# What containers cannot have, by option; what is said of it (`{}` is the value), and the hint.
REFUSALS: list[tuple[str, tuple[Any, ...], str, str]] = [
    # What Docker would not read.
    ("memory", NO_SIZES, "`--memory` must be a size, but got `{}`", "for example: 512m, 4g"),
    ("shm_size", NO_SIZES, "`--shm-size` must be a size, but got `{}`", "for example: 512m, 4g"),
    (  # a quota is a number that Docker can count in billionths
        "cpu_quota",
        (-1.0, math.inf, math.nan),
        "`--cpu-quota` must be a number of at least 0, but got {:g}",
        "for example: `--cpu-quota 1.5`",
    ),
    (  # GPUs are all of them, or a list without blanks
        "gpus",
        ("0,", ",0", "0 1", "0;1", "device=0"),
        "`--gpus` must be `all` or a list of ids, but got `{}`",
        "for example: `--gpus 0,1`",
    ),
    (  # the load engine reaches a server on 127.0.0.1, or not at all
        "network",
        ("", "none", "Bridge", "my-network"),
        "`--network` must be `bridge` or `host`, but got `{}`",
        "a network of your own is not published on 127.0.0.1",
    ),
    (  # a limit has a name and one whole number
        "ulimit",
        ("", "memlock", "memlock=", "=1", "memlock=1:2", "MEMLOCK=1"),
        "`--ulimit` must be NAME=NUMBER, but got `{}`",
        "for example: memlock=-1",
    ),
]


@pytest.mark.parametrize(("option", "value", "message", "hint"), each_refusal(REFUSALS))
def test_what_a_container_cannot_have(option: str, value: Any, message: str, hint: str) -> None:
    """It is refused under its option's name, with an example of what there is."""
    given = ["nofile=1024", value] if option == "ulimit" else value
    with refused(message, hint):
        place.container(docker(**{option: given}))


def test_a_mount_that_is_not_there(tmp_path: Path) -> None:
    """Docker would make an empty folder of it, where a model looks for its files."""
    message = f"`--mount {tmp_path}/weights` is not there"
    with refused(message, "give a file or folder that is"):
        place.container(docker(mount=[tmp_path, tmp_path / "weights"]))
