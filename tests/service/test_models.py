"""/api/v1/models: what is sent is kept whole under its name, or leaves nothing behind."""

import errno
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.service.hostile_archives import tarred, twice, zipped
from tuner.service.models import stored
from tuner.service.service import Service

URL = "/api/v1/models"
ONNX = b"\x08\x07" * 5000
REPOSITORY = {"resnet/1/model.onnx": ONNX, "resnet/config.pbtxt": b'backend: "onnxruntime"\n'}


@pytest.fixture
def allow_commands() -> bool:
    return False


@pytest.fixture
def service(service: Service, tmp_path: Path, allow_commands: bool) -> Service:  # noqa: FBT001
    """It takes uploads of 100 kB, and has a folder of models of its own."""
    folder = tmp_path / "zoo"
    (folder / "bert" / "1").mkdir(parents=True)
    (folder / "bert" / "1" / "model.onnx").write_bytes(b"12345")
    (folder / "shared.onnx").write_bytes(b"123")
    settings = replace(service.settings, models=(folder,), largest_upload=100_000)
    settings = replace(settings, allow_commands=allow_commands)
    return replace(service, settings=settings)


def left(service: Service) -> list[str]:
    """What the folder of uploads has now."""
    return sorted(
        str(each.relative_to(service.settings.uploads))
        for each in service.settings.uploads.rglob("*")
        if each.is_file()
    )


class TestSending:
    """A file, or an archive that becomes a folder."""

    def test_a_file(self, client: httpx.Client, service: Service) -> None:
        """It is kept as it came, and listed."""
        sent = client.put(f"{URL}/resnet.onnx", content=ONNX)

        assert (sent.status_code, sent.json()["size"]) == (201, len(ONNX))
        assert (service.settings.uploads / "resnet.onnx").read_bytes() == ONNX
        listed = {each["name"]: each for each in client.get(URL).json()["items"]}
        assert listed["resnet.onnx"] == sent.json()
        assert [listed[name]["kind"] for name in sorted(listed)] == ["folder", "file", "file"]
        assert [listed[name]["size"] for name in ("bert", "shared.onnx")] == [5, 3]
        assert not listed["bert"]["uploaded"]

    def test_archives(self, client: httpx.Client, service: Service) -> None:
        """Each is a folder then."""
        names = list(REPOSITORY)[:1]
        for name, archive in (("a", zipped(REPOSITORY)), ("b-1.5", tarred(*names))):
            sent = client.put(f"{URL}/{name}", content=archive)
            assert (sent.status_code, sent.json()["kind"]) == (201, "folder")

        assert left(service) == [
            "a/resnet/1/model.onnx", "a/resnet/config.pbtxt", "b-1.5/resnet/1/model.onnx",
        ]  # fmt: skip

    def test_a_form(self, client: httpx.Client, service: Service) -> None:
        """As browsers send files; what else the form has does not matter."""
        files = {"file": ("C:\\models\\..\\evil.onnx", ONNX, "application/octet-stream")}
        sent = client.put(f"{URL}/a.onnx", files=files, data={"csrf_token": "x"})

        assert sent.status_code == 201
        assert (service.settings.uploads / "a.onnx").read_bytes() == ONNX
        assert left(service) == ["a.onnx"]

    def test_in_place_of_another(self, client: httpx.Client, service: Service) -> None:
        """Only if that is asked for."""
        client.put(f"{URL}/m", content=zipped(REPOSITORY))

        refused = client.put(f"{URL}/m", content=zipped({"a.onnx": b"x"}))
        replaced = client.put(f"{URL}/m?replace=true", content=zipped({"a.onnx": b"x"}))

        assert (refused.status_code, replaced.status_code) == (409, 201)
        assert refused.json()["detail"] == "there is a model `m` already"
        assert left(service) == ["m/a.onnx"]


PROGRAMS = {
    "model.pt": b"PK\x03\x04", "model.mar": b"PK\x03\x04", "model.pth": b"x", "m.plan": b"x",
    "python": zipped({"m/1/model.py": b"import os"}),
    "library": zipped({"m/1/libtriton_m.so": b"x"}),
    "versioned-library": zipped({"m/1/lib.so.1": b"x"}),
    "torchscript": zipped({"m/1/model.pt": b"x"}),
    "tensorflow": zipped({"m/1/model.savedmodel/saved_model.pb": b"x"}),
    "pickle": zipped({"m/weights.pkl": b"x"}),
    "checkpoint": zipped({"m/config.json": b"{}", "m/pytorch_model.bin": b"x"}),
    "backend": zipped({"m/config.pbtxt": b'backend: "python"\n', "m/1/model.onnx": b"x"}),
    "warmed": zipped({"m/config.pbtxt": b'model_warmup { inputs { key: "x" value { '
                                       b'input_data_file: "/etc/passwd" } } }'}),
    "inferred": zipped({"m/config.pbtxt": b'default_model_filename: "m.python"', "m/1/m": b"x"}),
    "ending": zipped({"m/1/model.python": b"import os"}),
    "platform": zipped({"m/config.pbtxt": b'platform: "pytorch_libtorch"\n', "m/1/m": b"x"}),
    "m.savedmodel": zipped({"assets/a.txt": b"x"}),
}  # fmt: skip
UNUSABLE: list[tuple[str, bytes, int, str]] = [
    *((name, content, 403, f"the model `{name}` is a program (") for name, content in
      PROGRAMS.items()),
    ("a.onnx", b"", 422, "nothing was sent"),
    ("m", zipped({"m/config.pbtxt": b" " * 1_100_000}), 422,
     "`config.pbtxt` has more than 1,048,576 bytes"),
    ("m.zip", zipped(REPOSITORY), 422, "`m.zip` would be a folder: an archive is unpacked"),
    ("m.tar.gz", tarred("a"), 422, "`m.tar.gz` would be a folder: an archive is unpacked"),
    ("m", ONNX, 422, "is no zip or tar archive, or is damaged"),
    ("m", twice("../evil"), 422, "`../evil` leads out of the folder, or nowhere"),
    ("a.onnx", bytes(110_000), 413, "an upload may have at most 100,000 bytes"),
    (".hidden", ONNX, 422, "path.name: String should match pattern"),
    ("a" * 101, ONNX, 422, "path.name: String should have at most 100 characters"),
    ("a%2Fb", ONNX, 404, "there is nothing at"),
    ("%2e%2e%2fevil.onnx", ONNX, 404, "there is nothing at"),
    ("a%00.onnx", ONNX, 422, "path.name: String should match pattern"),
    ("a%0A.onnx", ONNX, 422, "path.name: String should match pattern"),
    ("a.onnx%0A", ONNX, 422, "path.name: String should match pattern"),
    ("a b.onnx", ONNX, 422, "path.name: String should match pattern"),
    ("a\\b.onnx", ONNX, 422, "path.name: String should match pattern"),
    ("<script>.onnx", ONNX, 422, "path.name: String should match pattern"),
]  # fmt: skip


def test_what_is_not_kept(
    client: httpx.Client, service: Service, subtests: pytest.Subtests
) -> None:
    """It is said why, and nothing of it stays."""
    before = {str(each) for each in service.settings.folder.rglob("*")}
    for name, content, status, said in UNUSABLE:
        with subtests.test(name):
            refused = client.put(f"{URL}/{name}", content=content)

            assert (refused.status_code, left(service)) == (status, [])
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["detail"].startswith(said)
    after = {str(each) for each in service.settings.folder.rglob("*")}
    assert after - before <= {str(service.settings.uploads)}


@pytest.mark.parametrize("allow_commands", [True])
def test_programs_where_they_are_allowed(client: httpx.Client) -> None:
    """Whoever starts the service with --allow-commands trusts those who may send models."""
    for name, content in PROGRAMS.items():
        assert client.put(f"{URL}/{name}", content=content).status_code == 201


def forms() -> Iterator[tuple[str, bytes]]:
    """Forms that are none, or have not one file."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    yield "multipart/form-data", head + b"x\r\n--b--\r\n"
    yield "multipart/form-data; boundary=b", b"x"
    yield "multipart/form-data; boundary=b", head + b"x"
    yield "multipart/form-data; boundary=b", head + b"x\r\n" + head + b"y\r\n--b--\r\n"
    yield (
        "multipart/form-data; boundary=b",
        head.replace(b"; filename", b"; n") + b"x\r\n--b--\r\n",
    )
    yield "multipart/form-data; boundary=b", head.replace(b"a", b"a" * 9000) + b"x\r\n--b--\r\n"


def test_broken_forms(client: httpx.Client, service: Service, subtests: pytest.Subtests) -> None:
    """They leave nothing behind, either."""
    for kind, content in forms():
        with subtests.test(repr(content[:60])):
            headers = {"Content-Type": kind}
            refused = client.put(f"{URL}/a.onnx", content=content, headers=headers)

            assert refused.status_code == 400
            assert refused.json()["detail"].startswith("is no form with a file: ")
            assert left(service) == []


def test_without_a_length(client: httpx.Client, service: Service) -> None:
    """What is too long is noticed as it comes."""
    refused = client.put(f"{URL}/a.onnx", content=(bytes(1000) for _ in range(200)))

    assert (refused.status_code, left(service)) == (413, [])


class TestDeleting:
    """Only what was sent, and what no job uses."""

    def test_a_model(self, client: httpx.Client, service: Service) -> None:
        """It is gone."""
        client.put(f"{URL}/m", content=zipped(REPOSITORY))

        assert client.delete(f"{URL}/m").status_code == 204
        assert client.delete(f"{URL}/m").json()["detail"] == "there is no model `m`"
        assert left(service) == []

    def test_of_the_machine(self, client: httpx.Client, service: Service) -> None:
        """Those are not the service's."""
        assert client.delete(f"{URL}/shared.onnx").status_code == 404
        assert (service.settings.models[0] / "shared.onnx").exists()

    def test_what_a_job_uses(self, client: httpx.Client, service: Service) -> None:
        """It is neither deleted nor replaced, until the job is over."""
        client.put(f"{URL}/a.onnx", content=ONNX)
        options = {"budget_ms": 50, "timeout": "60s", "model_file": "a.onnx"}
        job = client.post("/api/v1/jobs", json={"options": options, "study": "night"})
        assert job.status_code == 201, job.text

        said = "the job of study `night` uses the model `a.onnx`"
        assert client.delete(f"{URL}/a.onnx").json()["detail"] == said
        replaced = client.put(f"{URL}/a.onnx?replace=true", content=b"other")
        assert (replaced.status_code, replaced.json()["detail"]) == (409, said)
        client.post("/api/v1/jobs/night/cancel")
        options |= {"model_file": None, "model_repository": str(service.settings.uploads)}
        client.post("/api/v1/jobs", json={"options": options, "study": "next"})
        assert client.delete(f"{URL}/a.onnx").status_code == 409
        client.post("/api/v1/jobs/next/cancel")
        assert client.delete(f"{URL}/a.onnx").status_code == 204

    def test_without_room(
        self, client: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Studies are written there, too: it is refused before, or leaves nothing behind."""

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(stored, "unpack", full)
        broken = client.put(f"{URL}/m", content=zipped(REPOSITORY))
        monkeypatch.setattr(stored, "_ROOM", 2**60)
        refused = client.put(f"{URL}/m", content=iter([b"x"]))

        assert (broken.status_code, refused.status_code) == (507, 507)
        assert broken.json()["detail"] == "the model cannot be written: No space left on device"
        assert left(service) == []


def test_two_at_once(client: httpx.Client, service: Service) -> None:
    """The same name is not sent twice at the same time; who was first gets it."""
    sends, may_end = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"first"
        sends.set()
        may_end.wait(10)

    answers: list[int] = []
    first = threading.Thread(
        target=lambda: answers.append(client.put(f"{URL}/a.onnx", content=slowly()).status_code)
    )
    first.start()
    sends.wait(10)
    second = client.put(f"{URL}/a.onnx", content=b"second")
    while second.status_code == 201:  # it was sooner, as the other one had not begun
        client.delete(f"{URL}/a.onnx")
        second = client.put(f"{URL}/a.onnx", content=b"second")
    may_end.set()
    first.join()

    assert (second.status_code, second.headers["retry-after"]) == (429, "10")
    assert answers == [201]
    assert (service.settings.uploads / "a.onnx").read_bytes() == b"first"


def test_what_a_killed_service_left_behind(client: httpx.Client, service: Service) -> None:
    """It is removed before the next model is taken."""
    behind = service.settings.uploads / ".upload-0123"
    behind.mkdir(parents=True)
    (behind / "sent").write_bytes(ONNX)

    client.put(f"{URL}/a.onnx", content=ONNX)

    assert left(service) == ["a.onnx"]
    assert [each["name"] for each in client.get(URL).json()["items"]][-1] == "a.onnx"
