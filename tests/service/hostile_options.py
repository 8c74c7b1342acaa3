"""Jobs that ask for what the service was not started with: a part of the hostile requests."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.service.hostile_request import JSON, REFUSED, Row, Sent, World


def job(world: World, **options: Any) -> Sent:
    """A job is asked for, by who may run jobs."""
    headers = (("Authorization", f"Bearer {world.tokens['run']}"), *JSON.items())
    said = {"options": {"budget_ms": 50, **options}}
    return Sent("POST", "/api/v1/jobs", headers, json.dumps(said).encode())


def _files() -> list[Row]:
    """Each option that names a file, with each way out of the folders."""
    ways: list[tuple[str, Callable[[World], str]]] = [
        ("whole path", lambda w: str(w.outside / "secret.onnx")),
        ("the password file", lambda _: "/etc/passwd"),
        ("upwards", lambda _: "../outside/secret.onnx"),
        ("far upwards", lambda _: 30 * "../" + "etc/passwd"),
        ("down and up", lambda _: "sub/../../outside/secret.onnx"),
        ("through a link", lambda _: "link.onnx"),
        ("through a link to a folder", lambda _: "linked/secret.onnx"),
        ("NUL", lambda _: "model.onnx\0.txt"),
        ("its own process", lambda _: "/proc/self/environ"),
        ("through its own process", lambda w: f"/proc/self/root{w.outside}/secret.onnx"),
        ("a descriptor", lambda _: "/dev/fd/0"),
        ("a device", lambda _: "/dev/zero"),
        ("a pipe", lambda _: "pipe"),
        ("an option", lambda _: "--notify=touch /tmp/owned"),
        ("a short option", lambda _: "-H"),
        ("a URL", lambda w: f"file://{w.outside}/secret.onnx"),
        ("home", lambda _: "~/.ssh/id_rsa"),
        ("a variable", lambda _: "$HOME/.ssh/id_rsa"),
        ("backslashes", lambda _: "..\\outside\\secret.onnx"),
        ("codes", lambda _: "%2e%2e/outside/secret.onnx"),
        ("4,000 characters", lambda _: "a/" * 2000),
        ("5,000 characters", lambda _: 5000 * "a"),
        ("line breaks", lambda _: "model\r\nX-Header: 1"),
        ("half a character", lambda _: "model\ud800.onnx"),
        ("the token", lambda w: str(w.folder / "token")),
        ("the key, relative", lambda _: "../service/key"),
    ]
    options: Mapping[str, Callable[[str], Any]] = {
        "model_file": lambda path: path,
        "model_repository": lambda path: path,
        "space": lambda path: path,
        "input_data": lambda path: [path],
        "body": lambda path: [path],
    }
    return [
        (
            f"file: {option}: {name}",
            lambda w, option=option, form=form, way=way: job(  # type: ignore[misc]
                w, **{option: form(way(w))}
            ),
            REFUSED,
        )
        for option, form in options.items()
        for name, way in ways
    ]


def _row(name: str, **options: Any) -> Row:
    return (f"option: {name}", lambda w: job(w, **options), REFUSED)


def _models_and_spaces() -> list[Row]:
    """What would run a program that came with them."""
    return [
        _row("further form outside", model_file="model.onnx", variant=["/etc/passwd"]),
        _row("name of a model upwards", model_repository="good", model="../../outside"),
        _row("name of a model is a path", model_repository="good", model="/etc"),
        _row("name of a model is a dot", model_repository="good", model=".."),
        _row("name of a form upwards", model_repository="good", variant=["../../outside"]),
        _row("name of another model upwards", model_repository="good", with_model=["../x"]),
        _row("TorchScript", model_file="model.pt", input=["x:FP32:-1,4"]),
        _row("a form that is TorchScript", model_file="model.onnx", variant=["model.pt"]),
        _row("a model in Python", model_repository="python", model="scripted"),
        _row("a repository with Python", model_repository="python"),
        _row("a library beside the model", model_repository="library"),
        _row("an archive of TorchServe", server="torchserve", model_repository="store"),
        _row("a model of TensorFlow", server="tensorflow_serving", model_repository="saved"),
        _row("a library of operations", model_repository="operations"),
        _row("a path in the configuration", model_repository="leading"),
        _row("a server that is a command", server="command"),
        _row("a space with a command", space="command.yaml"),
        _row("a space that preloads", space="preload.yaml"),
        _row("a space with a flag of its own", space="flag.yaml"),
        _row("a space with a text of its own", space="text.yaml"),
        _row("a space that is no space", space="broken.yaml"),
        _row("a space that extends a file", space="extends.yaml"),
    ]


def _containers() -> list[Row]:
    """Images that were not stated, and what they would get of the machine."""
    docker = {"runner": "docker", "image": "allowed:1"}
    return [
        _row("an image that is not stated", runner="docker", image="evil:latest"),
        _row("no image", runner="docker"),
        _row("an image without its tag", runner="docker", image="allowed"),
        _row("another tag of an image", runner="docker", image="allowed:2"),
        _row("an image of another registry", runner="docker", image="evil.example/allowed:1"),
        _row("an image with a digest", runner="docker", image="allowed:1@sha256:" + 64 * "0"),
        _row("an image in upper case", runner="docker", image="Allowed:1"),
        _row("an image with a blank", runner="docker", image="allowed:1 "),
        _row("an image that is an option", runner="docker", image="--privileged"),
        _row("an image for a process", image="evil:latest"),
        _row("mounts the root", **docker, mount=["/"]),
        _row("mounts the engine's socket", **docker, mount=["/var/run/docker.sock"]),
        _row("all capabilities", **docker, cap_add=["ALL"]),
        _row("a capability", **docker, cap_add=["SYS_ADMIN"]),
        _row("root in a container", **docker, user="0:0"),
        _row("the host's network", **docker, network="host"),
        _row("another container's network", **docker, network="container:db"),
    ]


def _remotes() -> list[Row]:
    """Servers that were not stated, in all the ways to write an address."""
    remote = {"runner": "remote"}
    return [
        _row("a remote without its address", **remote),
        *(
            _row(f"a remote: {url}", **remote, url=url)
            for url in (
                "http://evil.example:8000",
                "http://169.254.169.254/latest/meta-data",
                "http://127.0.0.1:22",
                "http://127.0.0.1:9000@evil.example:9000",
                "http://user:password@127.0.0.1:9000",
                "http://127.0.0.1:9000.evil.example",
                "http://127.0.0.1.evil.example:9000",
                "http://2130706433:9000",
                "http://0x7f.1:9000",
                "http://0177.0.0.1:9000",
                "http://127.1:9000",
                "http://[::ffff:127.0.0.1]:9000",
                "http://[::1]:9000",
                "http://localhost:9000",
                "http://0.0.0.0:9000",
                "https://127.0.0.1:9000",
                "grpc://127.0.0.1:9000",
                "file:///etc/passwd",
                "gopher://127.0.0.1:9000",
                "unix:///var/run/docker.sock",
                "http://127.0.0.1:9000/../x",
                "http://127.0.0.1:9000/?u=http://evil.example",
                "http://127.0.0.1:9000#@evil.example",
                "http://127.0.0.1:9000\\@evil.example",
                "http://127.0.0.1:99999",
                "http://127.0.0.1:9000\r\nHost: evil.example",
                "//127.0.0.1:9000",
                "127.0.0.1:9000",
                "http://[",
                "http://\u2488\u20de:9000",
            )
        ),
        _row("another port of a remote", **remote, url="http://127.0.0.1:9000", port=["http=22"]),
        _row("no port of a remote", **remote, url="http://127.0.0.1:9000", port=["http=x"]),
        _row("a huge port", **remote, url="http://127.0.0.1:9000", port=["h=" + 400 * "9"]),
    ]


def _values() -> list[Row]:
    """What is no option of a job, or no value of one."""
    return [
        *(
            _row(f"{name} is none of a job", **{name: value})
            for name, value in (
                ("service", "http://evil.example"),
                ("notify", "touch /tmp/owned"),
                ("notify_url", "http://169.254.169.254/"),
                ("db", "postgresql://evil.example/x"),
                ("output", "/etc"),
                ("study", "../x"),
                ("detach", True),
                ("retry", ["crashed"]),
                ("as_json", True),
                ("__class__", "x"),
            )
        ),
        *(
            _row(f"a header that is none: {text!r}", header=[text])
            for text in ("@/etc/passwd", "@token", "x", "a: b\r\nc: d", "a: \0", "a\n: b", ": x")
        ),
        _row("CR and LF in a type", content_type="text/plain\r\nX: y"),
        _row("CR and LF in a text", string_data="x\r\ny"),
        _row("NUL in a text", string_data="x\0y"),
        _row("NUL in a name", model="x\0y"),
        _row("half a character", string_data="\ud800"),
        _row("a text of 100,000 characters", string_data=100_000 * "x"),
        _row("a list of 10,000 values", shape=10_000 * ["x:1"]),
        _row("an object for a text", model={"$ne": None}),
        *(
            _row(f"{said} for `{name}`", **{name: number})
            for name in ("trials", "finalists", "confirmations", "batch", "seed", "budget_ms")
            for said, number in (("10^400", 10**400), ("10^18", 10**18), ("-10^18", -(10**18)))
        ),
    ]


OPTIONS: tuple[Row, ...] = (
    *_files(), *_models_and_spaces(), *_containers(), *_remotes(), *_values(),
)  # fmt: skip
