"""/api/v1/spaces: what may vary, and what is wrong with a space file."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.command_line import Tuner
from tuner.service.api.spaces import CheckedSpaceDocument, SpaceDocument
from tuner.service.service import Service
from tuner.space.files import built_in

URL = "/api/v1/spaces"
WIDE = "extends: triton\nparameters:\n  max_batch_size: {high: 64}\n"
NUMBER = "{type: int, low: 1, high: 4, default: 1, sets: {config: a}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "spaces"
    (folder / "team").mkdir(parents=True)
    (folder / "wide.yaml").write_text(WIDE)
    (folder / "team" / "broken.yml").write_text("parameters: 5\n")
    (folder / "notes.txt").write_text("no space")
    (tmp_path / "secret.yaml").write_text(WIDE)
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    return folder


@pytest.fixture
def service(service: Service, folder: Path) -> Service:
    return replace(service, settings=replace(service.settings, spaces=(folder,)))


@pytest.fixture
def tuner(capsys: pytest.CaptureFixture[str]) -> Tuner:
    return Tuner(capsys)


def test_list(client: httpx.Client, folder: Path) -> None:
    """Those that are built in and those of its folders, by the names that jobs use; no paths."""
    answer = client.get(URL)

    found = {each["name"]: each for each in answer.json()["items"]}
    assert list(found) == [*built_in(), "wide", "team/broken"]
    assert found["triton"]["description"]
    assert found["wide"]["problem"] == ""
    assert found["team/broken"]["problem"]
    assert str(folder) not in answer.text


NOWHERE = (
    "nothing", "../secret", "..%2Fsecret", "link", "notes.txt", "%2Fetc%2Fpasswd", "a%00b",
)  # fmt: skip


class TestShowing:
    """As the command shows it, with the bounds of this machine."""

    def test_built_in(self, client: httpx.Client, tuner: Tuner) -> None:
        """To the last number."""
        found = client.get(f"{URL}/triton").json()

        assert found == tuner("spaces", "show", "triton", "--json").json
        SpaceDocument.model_validate(found)

    def test_of_a_folder(self, client: httpx.Client, folder: Path, tuner: Tuner) -> None:
        """It is read again when it was changed."""
        before = client.get(f"{URL}/wide").json()
        (folder / "wide.yaml").write_text(WIDE.replace("64", "128"))
        after = client.get(f"{URL}/wide").json()

        assert before != after
        assert after == tuner("spaces", "show", str(folder / "wide.yaml"), "--json").json

    def test_of_none(self, client: httpx.Client, tmp_path: Path) -> None:
        """What is elsewhere is not told apart from what is nowhere."""
        for name in NOWHERE:
            answer = client.get(f"{URL}/{name}")

            assert answer.status_code in (404, 422), name
            assert str(tmp_path) not in answer.text

    def test_a_broken_one(self, client: httpx.Client, folder: Path) -> None:
        """It is said where it is broken, without the path of its folder."""
        answer = client.get(f"{URL}/team/broken")

        assert answer.status_code == 422
        assert answer.json()["detail"] == "team/broken: server: is missing"


def test_check(client: httpx.Client, tmp_path: Path, tuner: Tuner) -> None:
    """What is in it, as the command says."""
    (tmp_path / "space.yaml").write_text(WIDE)

    found = client.post(f"{URL}/check", json={"content": WIDE}).json()

    assert found == tuner("spaces", "check", str(tmp_path / "space.yaml"), "--json").json
    CheckedSpaceDocument.model_validate(found)


def test_a_size_that_would_take_long(client: httpx.Client) -> None:
    """It is left out: whoever sends a space does not take the machine from a measurement."""
    names = "".join(f"  p{n}: {NUMBER.replace('config: a', f'config: a{n}')}\n" for n in range(8))
    rules = "rules:\n" + "  - {rule: p0 >= 1}\n" * 50

    found = client.post(
        f"{URL}/check", json={"content": f"server: triton\nparameters:\n{names}{rules}"}
    ).json()

    assert (found["size"], len(found["parameters"])) == (None, 8)


# A text, and how the complaint about it begins.
BAD: list[tuple[str, str]] = [
    ("", "a mapping with `server` and `parameters` was expected"),
    ("x", "a mapping with `server` and `parameters` was expected"),
    ("server: triton\nserver: x", "line 2: the key `server` is there twice"),
    ("server: triton\nparameters:\n  a: {typ: int}", "parameters.a.type: is missing"),
    ("extends: ../../etc/passwd", "extends: a built-in space was expected, but got the text"),
    ("extends: /etc/passwd", "extends: a built-in space was expected, but got the text"),
    ("extends: [triton]", "extends: a built-in space was expected, but got a list"),
    ("a: &a [1]\nb: *a", "line 2: aliases (`*name`) are not used"),
    ("a: &a {b: 1}\nc: {<<: *a}", "line 2: aliases (`*name`) are not used"),
    ("!!python/object/apply:os.system [id]", "line 1: tags ("),
    ("a: " + "[" * 9000, "has too many brackets inside each other"),
    ("a: " + "{a: " * 9000, "has too many brackets inside each other"),
    ("a: '\x1b'", "unacceptable character"),
    ("a: {b", "line 1: while parsing a flow mapping"),
    (
        f"server: triton\nparameters:\n  a: {NUMBER}\nrules:\n  - {{rule: 9**9**9 > 0}}",
        "rules[0].rule: `9**9**9 > 0` uses `9**9**9`, which expressions do not have",
    ),
    (
        f"server: triton\nparameters:\n  a: {NUMBER}\nrules:\n  - {{rule: open('/etc/passwd')}}",
        "rules[0].rule: `open('/etc/passwd')` uses `open",
    ),
    (
        "server: triton\nparameters:\n"
        + "".join(
            f"  p{n}: {{type: int, low: 1, high: 100000, default: 1, sets: {{config: a{n}}}}}\n"
            for n in range(3)
        ),
        "parameters: they have more than 100,000 values together",
    ),
]


def test_what_cannot_be_used(client: httpx.Client, subtests: pytest.Subtests) -> None:
    """It is said where and why; nothing is read, run or unfolded."""
    for content, said in BAD:
        with subtests.test(content[:40]):
            refused = client.post(f"{URL}/check", json={"content": content})

            assert refused.status_code == 422
            assert refused.json()["detail"].startswith(said)


def test_a_long_one(client: httpx.Client) -> None:
    """It is not even read."""
    refused = client.post(f"{URL}/check", json={"content": "#" * 65_537})

    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("body.content: String should have at most 65536")
