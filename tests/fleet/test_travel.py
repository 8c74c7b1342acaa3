"""The files of a job come to a host as they were, each checked, and only those that it needs."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fleet.own_server import prepared_in
from tests.targets.llama_cpp.test_model import gguf
from tuner import demo
from tuner.errors import TunerError
from tuner.fleet import travel
from tuner.fleet.packing import pack, unpacked_job
from tuner.fleet.travel import Packed, Unpacking
from tuner.goals import LatencyBudget
from tuner.protocols.openai_form import OpenAiForm
from tuner.study.job import Job, PreparedJob, prepare
from tuner.targets.request_form import RequestForm
from tuner.targets.staging import copy_folder

CONFIG = 'backend: "python"\n'


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So short that files begin and end within one, and go on in the next."""
    monkeypatch.setattr(travel, "CHUNK_BYTES", 100)


def arrived(packed: Packed, folder: Path) -> Unpacking:
    folder.mkdir()
    unpacking = Unpacking(packed.parcel, folder)
    for number in range(packed.parcel.chunks):
        assert not unpacking.is_complete
        unpacking.take(packed.chunk(number))
    assert unpacking.is_complete
    return unpacking


def prepared_there(prepared: PreparedJob, folder: Path) -> PreparedJob:
    """As a host has it."""
    packed = pack(prepared)
    arrived(packed, folder)
    return prepare(unpacked_job(packed.parcel.job, folder))


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def repository(folder: Path, *others: str) -> PreparedJob:
    """The bundled model in a repository, with `others` beside it."""
    copy_folder(demo.REPOSITORY / demo.MODEL, folder / "models" / demo.MODEL)
    for name in others:
        copy_folder(demo.REPOSITORY / demo.MODEL, folder / "models" / name)
    budget = LatencyBudget(percentile=99, limit_s=0.05)
    return prepare(Job(budget=budget, repository=folder / "models", model=demo.MODEL))


def test_a_server_of_ones_own_is_the_same_on_a_host(tmp_path: Path) -> None:
    """Its space file, what that reads, and the files that its command names travel."""
    here = prepared_in(tmp_path / "here")
    there = prepared_there(here, tmp_path / "there")

    assert there.study.model_fingerprint == here.study.model_fingerprint
    assert there.study.space_fingerprint == here.study.space_fingerprint
    names = {"server.py", "mine.yaml", "words/body.txt"}
    assert files(tmp_path / "there") == {f"space/here/{name}" for name in names}


def test_a_repository_is_the_same_on_a_host_without_models_that_nobody_asks(
    tmp_path: Path,
) -> None:
    """A link to a file is the file there; what is hidden stays behind."""
    here = repository(tmp_path, "another")
    folder = tmp_path / "models"
    (tmp_path / "weights").write_bytes(bytes(range(250)))
    (folder / "shared").mkdir()
    (folder / "shared" / "weights").symlink_to(tmp_path / "weights")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    there = prepared_there(here, tmp_path / "there")

    assert there.study.model_fingerprint == here.study.model_fingerprint
    assert there.study.space_fingerprint == here.study.space_fingerprint
    found = files(tmp_path / "there" / "repository" / "models")
    assert {name.partition("/")[0] for name in found} == {demo.MODEL, "shared"}
    weights = tmp_path / "there" / "repository" / "models" / "shared" / "weights"
    assert weights.read_bytes() == bytes(range(250))


def test_a_language_model_comes_with_all_its_parts_and_prompts(tmp_path: Path) -> None:
    """A file of several is taken whole, and so are the prompts that a study asks."""
    for name in ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "other.gguf"):
        gguf(tmp_path / name)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Say yes.", "output_tokens": 4}')
    prompts = OpenAiForm(dataset=tmp_path / "prompts.jsonl")
    here = prepare(
        Job(
            budget=LatencyBudget(percentile=99, limit_s=0.05),
            server="llama_cpp",
            model_file=tmp_path / "big-00001-of-00002.gguf",
            variants=(str(tmp_path / "other.gguf"),),
            form=RequestForm(prompts=prompts),
        )
    )
    there = prepared_there(here, tmp_path / "there")

    assert there.study.model_fingerprint == here.study.model_fingerprint
    assert there.study.request == here.study.request
    assert there.job.form.prompts.dataset == tmp_path / "there" / "dataset" / "prompts.jsonl"


def test_programs_stay_programs_and_empty_files_and_folders_come(tmp_path: Path) -> None:
    """Whatever is of no length is there as well."""
    here = repository(tmp_path)
    shared = tmp_path / "models" / "shared"
    (shared / "empty").mkdir(parents=True)
    (shared / "nothing").touch()
    (shared / "run").write_text("#!/bin/sh\n")
    (shared / "run").chmod(0o755)
    arrived(pack(here), tmp_path / "there")

    there = tmp_path / "there" / "repository" / "models" / "shared"
    assert (there / "empty").is_dir()
    assert (there / "nothing").read_bytes() == b""
    assert (there / "run").stat().st_mode & 0o700 == 0o700


def test_what_only_the_driver_needs_stays_with_it(tmp_path: Path) -> None:
    """The database's address has a password in it, and the options say what a person typed."""
    here = prepared_in(tmp_path / "here")
    job = replace(here.job, options={"database": "postgresql://u:p@h/d"}, log="tuner.log")
    sent = pack(replace(here, job=job)).parcel.job

    assert (sent.database, sent.options, sent.log) == ("", {}, "")


@pytest.mark.parametrize("content", [b"another", b"", b"much longer than it was" * 20])
def test_a_file_that_changes_while_it_is_sent_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever became of its length, the files behind it are not mixed up with it."""
    packed = pack(prepared_in(tmp_path / "here"))
    (tmp_path / "here" / "words" / "body.txt").write_bytes(content)

    with pytest.raises(TunerError, match=r"words/body\.txt is not what the driver read") as caught:
        arrived(packed, tmp_path / "there")
    assert caught.value.hint == "leave the model's files as they are while the study begins"


def test_a_model_that_a_space_serves_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are not sent: hosts have them at the same place, in full."""
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    budget = LatencyBudget(percentile=99, limit_s=0.05)
    packed = pack(prepare(Job(budget=budget, space_file=Path("vllm"), model="./tiny")))

    assert packed.parcel.files == ()
    assert packed.parcel.job.model == str(tmp_path / "tiny")


def test_a_built_in_space_is_the_hosts_own(tmp_path: Path) -> None:
    """It is part of the tuner, which is of the same version there."""
    budget = LatencyBudget(percentile=99, limit_s=0.05)
    packed = pack(prepare(Job(budget=budget, space_file=Path("triton_all"))))

    assert packed.parcel.files == ()
    assert unpacked_job(packed.parcel.job, tmp_path).space_file == Path("triton_all")
