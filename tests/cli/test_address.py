"""Options that say where the load goes and what load it is, made into values."""

import socket
from pathlib import Path

import pytest

from tests.servers.certificates import Certificates
from tuner.cli.address import Address, address, tls_settings
from tuner.cli.measure_options import LoadOptions, ServerOptions
from tuner.cli.measure_plan import profiles, read_intervals, steps
from tuner.errors import InputError
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


def test_tls_and_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS settings and a socket become those of the endpoint."""
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    settings, path = TlsSettings(server_name="x"), Path("socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        found = address("https://host", tls=settings, unix_socket=path)
    assert found == Address(HTTP, Endpoint("host", 443, settings, path))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http://:8000",
        "http://host:0",
        "http://host:port",
        "http://host:99999",
        "http://[::1:8000",
        "http://two words:8000",
        "http://host:8000/v2/models",
        "http://host:8000?x=1",
        "http://host:8000#x",
        "http://me@host:8000",
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    """What is not just a host and a port is refused, with an example of one."""
    with pytest.raises(InputError) as caught:
        address(url)
    shown = url or "http://"
    assert caught.value.message == f"a URL of host and port was expected, but got `{shown}`"
    assert caught.value.hint == "for example: http://127.0.0.1:8000"


def test_a_protocol_that_is_not_there() -> None:
    """Only what can be measured is accepted."""
    with pytest.raises(InputError) as caught:
        address("ftp://host")
    assert caught.value.message == (
        "a URL of http, https, grpc or grpcs was expected, but got `ftp://host`"
    )
    assert caught.value.hint == "for example: http://127.0.0.1:8000 or grpc://127.0.0.1:8001"


def test_two_protocols() -> None:
    """URL and protocol must not contradict each other."""
    with pytest.raises(InputError) as caught:
        address("https://host:1", protocol=GRPC)
    assert caught.value.message == "`https://host:1` is not spoken to over grpc"
    assert caught.value.hint == "leave `--protocol` out, or give the URL as grpc://HOST:PORT"


@pytest.mark.parametrize(
    ("url", "secure"), [("host:1", "https"), ("http://host", "https"), ("grpc://host", "grpcs")]
)
def test_tls_options_without_tls(url: str, secure: str) -> None:
    """Options of TLS that would be of no use are refused."""
    shown = url if "://" in url else f"http://{url}"
    with pytest.raises(InputError) as caught:
        address(url, tls=TlsSettings(verify=False))
    assert caught.value.message.startswith("options of TLS were given, but `")
    assert url in shown
    assert caught.value.hint == f"give the URL as {secure}://HOST:PORT"
    assert address(url, tls=TlsSettings()).endpoint.tls is None


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_no_socket(tmp_path: Path, name: str) -> None:
    """What is no socket is refused."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        address("http://host", unix_socket=tmp_path / name)
    assert caught.value.message == f"`--unix-socket {tmp_path / name}` is no socket"
    assert caught.value.hint == "check that the server listens on it"


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
    with pytest.raises(InputError) as caught:
        steps(text, "--rate")
    assert caught.value.message == f"`--rate` {WANTED} in numbers above 0, but got `{text}`"
    assert caught.value.hint == "for example: `--rate 1:16:5`"


@pytest.mark.parametrize("text", ["1.5", "1:4:0.5", "1e3"])
def test_no_whole_steps(text: str) -> None:
    """There is no half a request in flight."""
    with pytest.raises(InputError) as caught:
        steps(text, "--concurrency", whole=True)
    assert caught.value.message == (
        f"`--concurrency` {WANTED} in whole numbers above 0, but got `{text}`"
    )


@pytest.mark.parametrize("text", ["1:1001", "1:1e9:1e-3", "1:1e308:1e-308"])
def test_too_many_steps(text: str) -> None:
    """A range that would take forever is a slip."""
    with pytest.raises(InputError) as caught:
        steps(text, "--rate")
    assert caught.value.message == f"`--rate {text}` would be more than 1000 load points"
    assert caught.value.hint == "choose a larger STEP"


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
    with pytest.raises(InputError) as caught:
        profiles(options, 5)
    assert caught.value.message == f"`{names[0]}` and `{names[1]}` exclude each other"
    assert caught.value.hint == "measure one after the other"


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
def test_intervals_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    """A file of intervals has whole microseconds, and not only zeros."""
    monkeypatch.chdir(tmp_path)
    Path("intervals").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_intervals(Path("intervals"))
    assert caught.value.message == message


def test_no_file_of_intervals() -> None:
    """A file that is not there is named."""
    with pytest.raises(InputError) as caught:
        read_intervals(Path("nowhere"))
    assert caught.value.message == (
        "the intervals in `nowhere` cannot be read: No such file or directory"
    )
    assert caught.value.hint == "give a text file with one number of microseconds in each line"


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
    with pytest.raises(InputError) as caught:
        settings(*(Path("nowhere") if name == option else None for name in names))
    assert caught.value.message == f"`{option} nowhere` is no file"
    assert caught.value.hint == "give a file in PEM form"


def test_half_a_client(certificates: Certificates) -> None:
    """A certificate is of no use without its key, nor the key without it."""
    for half in ((certificates.client_certificate, None), (None, certificates.client_key)):
        with pytest.raises(InputError) as caught:
            settings(None, *half)
        assert caught.value.message == "a client certificate and its key belong together"
        assert caught.value.hint == "give both `--client-certificate` and `--client-key`"


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
