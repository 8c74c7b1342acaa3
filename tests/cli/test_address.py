"""Options that say where the load goes and what load it is, made into values."""

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tests.servers.certificates import Certificates
from tuner.cli.address import Address, address, tls_settings
from tuner.cli.measure_options import LoadOptions, ServerOptions
from tuner.cli.measure_plan import profiles, read_intervals, steps
from tuner.errors import InputError, masked
from tuner.load.profile import Arrivals, ClosedLoop, Endpoint, OpenLoop, Ramp, Replay, TlsSettings
from tuner.protocols.v2 import V2Protocol

WANTED = "must be a number or START:END:STEP"
HTTP, GRPC = V2Protocol.HTTP, V2Protocol.GRPC


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000", Address(HTTP, Endpoint("127.0.0.1", 8000))),
        ("http://bench.example:8000/", Address(HTTP, Endpoint("bench.example", 8000))),
        ("localhost:8000", Address(HTTP, Endpoint("localhost", 8000))),
        ("HTTP://Bench", Address(HTTP, Endpoint("bench", 80))),
        ("http://[::1]:8000", Address(HTTP, Endpoint("::1", 8000))),
        ("https://host", Address(HTTP, Endpoint("host", 443, TlsSettings()))),
        ("grpc://host", Address(GRPC, Endpoint("host", 8001))),
        ("grpcs://host:9", Address(GRPC, Endpoint("host", 9, TlsSettings()))),
    ],
)
def test_urls(url: str, expected: Address) -> None:
    """A URL is a protocol, a host and a port; without a protocol it is HTTP."""
    assert address(url) == expected
    assert address(url).grpc == (expected.protocol is GRPC)


@pytest.mark.parametrize("url", ["host:8001", "grpc://host:8001"])
def test_a_protocol_of_its_own(url: str) -> None:
    """The protocol may be given beside the URL."""
    assert address(url, protocol=GRPC) == Address(GRPC, Endpoint("host", 8001))


def test_tls_and_a_unix_socket() -> None:
    """TLS settings and a socket become those of the endpoint."""
    settings, path = TlsSettings(server_name="x"), Path("socket")  # its path may not be long
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        found = address("https://host", tls=settings, unix_socket=path)
    assert found == Address(HTTP, Endpoint("host", 443, settings, path))


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http://:8000", "http://host:0", "http://host:port", "http://host:99999"),
        *("http://[::1:8000", "http://two words:8000", "http://host:8000/v2/models"),
        *("http://host:8000?x=1", "http://host:8000#x", "http://me@host:8000"),
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    """What is not just a host and a port is refused, with an example of one."""
    message = f"a URL of host and port was expected, but got `{masked(url)}`"
    with refused(message, "for example: http://127.0.0.1:8000"):
        address(url)


@pytest.mark.parametrize(
    ("url", "others", "message", "hint"),
    [
        ("", {}, "a URL of host and port was expected, but got `http://`", None),
        (  # only what can be measured is accepted
            "ftp://host",
            {},
            "a URL of http, https, grpc or grpcs was expected, but got `ftp://host`",
            "for example: http://127.0.0.1:8000 or grpc://127.0.0.1:8001",
        ),
        (  # URL and protocol must not contradict each other
            "https://host:1",
            {"protocol": GRPC},
            "`https://host:1` is not spoken to over grpc",
            "leave `--protocol` out, or give the URL as grpc://HOST:PORT",
        ),
        *(  # options of TLS that would be of no use
            (
                url,
                {"tls": TlsSettings(verify=False)},
                f"options of TLS were given, but `{url}` is spoken to without it",
                f"give the URL as {secure}://HOST:PORT",
            )
            for url, secure in (
                ("host:1", "https"),
                ("http://host", "https"),
                ("grpc://host", "grpcs"),
            )
        ),
        *(  # what is not there, and what is no socket
            (
                "http://host",
                {"unix_socket": Path(path)},
                f"`--unix-socket {path}` is no socket",
                "check that the server listens on it",
            )
            for path in ("nowhere", ".")
        ),
    ],
)
def test_what_does_not_fit(
    url: str, others: dict[str, Any], message: str, hint: str | None
) -> None:
    """What would be of no use beside the URL is refused."""
    with refused(message, hint):
        address(url, **others)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", [8.0]),
        ("1:4", [1.0, 2.0, 3.0, 4.0]),
        ("1:16:5", [1.0, 6.0, 11.0, 16.0]),
        ("1:15:5", [1.0, 6.0, 11.0]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("5:5", [5.0]),
        ("1e3", [1000.0]),
        ("1:1000", [float(n) for n in range(1, 1001)]),
    ],
)
def test_steps(text: str, values: list[float]) -> None:
    """A number, or a range with its end included if the steps meet it."""
    assert steps(text, "--rate") == pytest.approx(values)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "-1", "nan", "inf", "1:inf", "1:nan", "4:1", "1:4:0", "1:4:-1", "1:4:nan",
     "1:2:3:4", ":", "1:", "1:4:"],
)  # fmt: skip
def test_no_steps(text: str) -> None:
    """Loads are above zero, and a range goes up."""
    message = f"`--rate` {WANTED} in numbers above 0, but got `{text}`"
    with refused(message, "for example: `--rate 1:16:5`"):
        steps(text, "--rate")


@pytest.mark.parametrize("text", ["1.5", "1:4:0.5", "1e3"])
def test_no_whole_steps(text: str) -> None:
    """There is no half a request in flight."""
    message = f"`--concurrency` {WANTED} in whole numbers above 0, but got `{text}`"
    with refused(message, "for example: `--concurrency 1:16:5`"):
        steps(text, "--concurrency", whole=True)


@pytest.mark.parametrize("text", ["1:1001", "1:1e9:1e-3", "1:1e308:1e-308"])
def test_too_many_steps(text: str) -> None:
    """A range that would take forever is a slip."""
    message = f"`--rate {text}` would be more than 1000 load points"
    with refused(message, "choose a larger STEP"):
        steps(text, "--rate")


def test_profiles(tmp_path: Path) -> None:
    """Each option is a load of its own; concurrency 1 without any."""
    poisson, constant = Arrivals.POISSON, Arrivals.CONSTANT
    (tmp_path / "intervals").write_text("1000\n3000\n")

    assert profiles(LoadOptions(), 5) == [ClosedLoop(1)]
    assert profiles(LoadOptions(concurrency="1:3:2"), 5) == [ClosedLoop(1), ClosedLoop(3)]
    assert profiles(LoadOptions(rate="0.5:1:0.5", seed=3), 5) == [
        OpenLoop(0.5, poisson, 3),
        OpenLoop(1.0, poisson, 3),
    ]
    assert profiles(LoadOptions(ramp="10:20:5", arrivals=constant, seed=3), 5) == [
        Ramp((10.0, 15.0, 20.0), 5, constant, 3)
    ]
    assert profiles(LoadOptions(request_intervals=tmp_path / "intervals"), 5) == [
        Replay((0.001, 0.003))
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (LoadOptions(concurrency="1", rate="1"), ("--concurrency", "--rate")),
        (LoadOptions(rate="1", ramp="1:2"), ("--rate", "--ramp")),
        (LoadOptions(ramp="1:2", request_intervals=Path("x")), ("--ramp", "--request-intervals")),
        (
            LoadOptions(concurrency="1", request_intervals=Path("x")),
            ("--concurrency", "--request-intervals"),
        ),
    ],
)
def test_two_loads(options: LoadOptions, names: tuple[str, str]) -> None:
    """A load point has one load."""
    message = f"`{names[0]}` and `{names[1]}` exclude each other"
    with refused(message, "measure one after the other"):
        profiles(options, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1000\n-5\n", "`intervals`, number 2: whole microseconds were expected, but got `-5`"),
        (b"0.5\n", "`intervals`, number 1: whole microseconds were expected, but got `0.5`"),
        (b"", "`intervals` has no interval above 0 microseconds"),
        (b"0\n0\n", "`intervals` has no interval above 0 microseconds"),
        (b"\xff\n", "the intervals in `intervals` cannot be read: it is no text"),
    ],
)
def test_intervals_that_cannot_be_used(content: bytes, message: str) -> None:
    """A file of intervals has whole microseconds, and not only zeros."""
    Path("intervals").write_bytes(content)
    with refused(message):
        read_intervals(Path("intervals"))


def test_no_file_of_intervals() -> None:
    """A file that is not there is named."""
    message = "the intervals in `nowhere` cannot be read: No such file or directory"
    hint = "give a text file with one number of microseconds in each line"
    with refused(message, hint):
        read_intervals(Path("nowhere"))


def settings(
    ca_file: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> TlsSettings:
    return tls_settings(
        ServerOptions(
            url="https://host",
            ca_file=ca_file,
            client_certificate=certificate,
            client_key=key,
            server_name="server",
        )
    )


def test_tls_settings(certificates: Certificates) -> None:
    """The files that were given are those of the settings."""
    files = (
        certificates.ca_certificate,
        certificates.client_certificate,
        certificates.client_key,
    )
    assert settings(*files) == TlsSettings(*files, verify=True, server_name="server")
    assert tls_settings(ServerOptions(url="https://host")) == TlsSettings()


@pytest.mark.parametrize("option", ["--ca-file", "--client-certificate", "--client-key"])
def test_tls_files_that_are_missing(option: str) -> None:
    """A file that is not there is named with its option."""
    names = ("--ca-file", "--client-certificate", "--client-key")
    with refused(f"`{option} nowhere` is no file", "give a file in PEM form"):
        settings(*(Path("nowhere") if name == option else None for name in names))


def test_half_a_client(certificates: Certificates) -> None:
    """A certificate is of no use without its key, nor the key without it."""
    for half in ((certificates.client_certificate, None), (None, certificates.client_key)):
        hint = "give both `--client-certificate` and `--client-key`"
        with refused("a client certificate and its key belong together", hint):
            settings(None, *half)


def test_tls_files_that_are_none(certificates: Certificates, tmp_path: Path) -> None:
    """What is no certificate is refused before the load engine stumbles over it."""
    (tmp_path / "notes").write_text("no certificate\n")
    for files in (
        (tmp_path / "notes", None, None),
        (None, certificates.client_certificate, certificates.server_key),
    ):
        with pytest.raises(InputError) as caught:
            settings(*files)
        assert caught.value.message.startswith("the TLS certificates cannot be used: ")
        assert caught.value.hint == (
            "PEM files are expected; a client certificate needs its key, without a password"
        )
