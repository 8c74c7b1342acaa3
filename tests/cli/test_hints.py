"""`tuner hints` and `tuner hardware`: of a study, a model and this host, as text and as JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command_line import Tuner, error
from tests.hints.demo import SPACE, demo
from tests.hints.demo import best as winner
from tests.report import studies
from tests.store.test_storage import stored
from tests.targets.torchserve.torchserve_archives import write_archive
from tuner.hints.catalogue import catalogue
from tuner.hints.host import detect

NOTHING = replace(studies.night(), name="nothing", server="command", created_at=studies.BEGAN)


@pytest.fixture(autouse=True)
def with_studies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two studies, in a terminal of 80 columns whose environment no hint is about."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("OMP_NUM_THREADS", "ENABLE_TORCH_PROFILER", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.delenv(name, raising=False)
    hardware = detect().hardware.as_record()
    found = demo(winner(), name="demo", hardware=hardware, space=SPACE)
    stored(folder / "studies.db", found, NOTHING)


class TestOfAStudy:
    def test_text_and_json_agree(self, tuner: Tuner) -> None:
        """Each hint that holds is in both, with its reasons."""
        text, document = tuner.both("hints", "demo")

        names = [each["name"] for each in document["hints"]]
        assert "dynamic-batching" in names
        assert [name for name in names if f"\n{name} (" not in text] == []
        assert document["study"] == "demo"
        assert document["checked"] + len(document["unknown"]) == len(catalogue())
        [batching] = [e for e in document["hints"] if e["name"] == "dynamic-batching"]
        assert batching["why"] == {"model.max_batch_size": 16, "default.batching": False}
        assert batching["followed"]

    def test_addresses_are_whole(self, tuner: Tuner) -> None:
        """A source is one line, however long: it is there to be opened."""
        text, document = tuner.both("hints", "demo")

        lines = text.splitlines()
        assert all(f"  source: {each['source']}" in lines for each in document["hints"])

    def test_nothing_holds(self, tuner: Tuner) -> None:
        """It says so in one line, and how many could be checked."""
        text, document = tuner.both("hints", "nothing")

        assert document["hints"] == []
        assert text == (
            f"study nothing: none of the {document['checked']} hints that could be checked holds\n"
        )


class TestOfAModel:
    def test_the_bundled_one(self, tuner: Tuner, folder: Path) -> None:
        """Its files are read; no server is started, and nothing is written."""
        before = set(folder.iterdir())
        text, document = tuner.both("hints", "--server", "triton")

        assert text.startswith("model encoder: ")
        assert document["model"] == "encoder"
        assert document["hints"][0]["name"] == "dynamic-batching"
        assert set(folder.iterdir()) == before

    def test_a_model_that_a_server_completes(self, tuner: Tuner, folder: Path) -> None:
        """How large its batches may be is not known where the server chooses that."""
        (folder / "models/net/1").mkdir(parents=True)
        (folder / "models/net/1/model.onnx").touch()
        (folder / "models/net/config.pbtxt").write_text('backend: "onnxruntime"\n')

        document = tuner("hints", "--model-repository", "models", "--json").json

        assert "model.max_batch_size" in document["unknown"]["dynamic-batching"]

    def test_an_archive_of_torchserve(self, tuner: Tuner, folder: Path) -> None:
        """Its own settings count, as they would in a study."""
        write_archive(folder / "store", {"batchSize": 8, "maxBatchDelay": 30}, name="m")
        options = ("hints", "--server", "torchserve", "--model-repository", "store")

        document = tuner(*options, "--model", "m", "--json").json

        assert document["model"] == "m"
        assert "delay-eats-the-budget" in document["unknown"]
        assert document["unknown"]["delay-eats-the-budget"] == ["result.budget_ms"]


class TestOfThisHost:
    def test_only_what_it_knows(self, tuner: Tuner, monkeypatch: pytest.MonkeyPatch) -> None:
        """The environment of this terminal counts, as servers inherit it."""
        monkeypatch.setenv("OMP_NUM_THREADS", "4")

        document = tuner("hints", "--json").json

        [threads] = [e for e in document["hints"] if e["name"] == "threads-in-environment"]
        assert threads["why"] == {"environment.threads": 4}
        assert "dynamic-batching" in document["unknown"]

    def test_given_requests(self, tuner: Tuner, folder: Path) -> None:
        """Two of four repeat an earlier one: the cache of a Triton would answer them."""
        data = {"data": [{"x": [1, 2]}] * 3 + [{"x": [1, 0]}]}
        (folder / "data.json").write_text(json.dumps(data))

        document = tuner("hints", "--input-data", "data.json", "--server", "triton", "--json").json

        [repeated] = [e for e in document["hints"] if e["name"] == "repeated-requests"]
        assert repeated["why"] == {"request.repeated": 0.5, "config.cache": False}

    def test_hardware(self, tuner: Tuner) -> None:
        """What there is, and the hints that ask about the host alone: all of them can be told."""
        text, document = tuner.both("hardware")

        assert text.startswith(
            f"processor: {document['processor']} ({document['architecture']})\n"
        )
        assert document["unknown"] == {}
        assert document["cores"] == detect().hardware.cores
        assert "what follows from that: " in text


REFUSED = [
    (
        ("demo", "--server", "triton"),
        "`--server` means nothing to `tuner hints demo`",
        "leave out the study, or that option",
    ),
    (
        ("demo", "--input-data", "data.json"),
        "`--input-data` means nothing to `tuner hints demo`",
        "leave out the study, or that option",
    ),
    (
        ("--db", "other.db"),
        "`--db` means nothing without `STUDY`",
        "give both, or leave it out",
    ),
    (
        ("--server", "command"),
        "of a server that a space file describes, nothing is known before a study",
        "`tuner hints STUDY` says what a study found",
    ),
    (
        ("night",),
        "no study is called `night`",
        "studies here: demo, nothing",
    ),
    (
        ("--input-data", "missing.json"),
        "missing.json: there is no such file or folder",
        "`--input-data` is `random`, `zero`, a JSON file, or a folder with a file per input",
    ),
]


@pytest.mark.parametrize(("options", "message", "hint"), REFUSED)
def test_refusals(tuner: Tuner, options: tuple[str, ...], message: str, hint: str) -> None:
    """What cannot be used, and what to do, with status 2."""
    assert tuner("hints", *options) == error(message, hint)
