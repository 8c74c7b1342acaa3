"""A model of llama.cpp: its file is found, read and told apart, and never copied."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tests.refusals import refused
from tests.servers import llama_cpp
from tests.spaces import integer
from tests.targets.llama_cpp.llama_cpp_targets import asking, built_in_space
from tuner.errors import InputError, ModelError, SpaceError
from tuner.load.requests import TensorSpec
from tuner.protocols.openai_task import Task
from tuner.space.settings import ConfigPath, ServerFlag, ServerProperty, Setting
from tuner.space.space import SearchSpace
from tuner.targets.base import ModelSource
from tuner.targets.llama_cpp.gguf import read_metadata
from tuner.targets.llama_cpp.model import LlamaCppModel, open_model, parts

NAME = "name a GGUF file: `--model FILE.gguf`"


def gguf(
    file: Path,
    *,
    context: int = 4096,
    pooling: int | None = None,
    causal: bool = True,
    weights: bytes = b"",
) -> Path:
    """A file of the form's first part: its keys, and one of the tokenizer, which is not read."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    keys = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.list") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
        text("general.numbers") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 3),
        text("llama.context_length") + struct.pack("<II", 4, context),
        text("llama.attention.causal") + struct.pack("<I?", 7, causal),
    ]
    if pooling is not None:
        keys.append(text("llama.pooling_type") + struct.pack("<II", 4, pooling))
    keys.append(text("tokenizer.ggml.model") + struct.pack("<I", 99))
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys))
    file.write_bytes(head + b"".join(keys) + weights)
    return file


class TestMetadata:
    def test_what_stands_before_the_vocabulary(self, tmp_path: Path) -> None:
        """Texts and numbers by their keys; lists are passed over, and the rest is not read."""
        found = read_metadata(gguf(tmp_path / "m.gguf"))
        assert found == {
            "general.architecture": "llama",
            "llama.context_length": 4096,
            "llama.attention.causal": True,
        }

    def test_a_real_one(self, tmp_path: Path) -> None:
        """What the library of the form writes can be read."""
        if missing := llama_cpp.missing():
            pytest.skip(missing)
        from tests.servers import tiny_gguf  # it needs what may be missing

        model = LlamaCppModel(tiny_gguf.write(tmp_path / "tiny.gguf"))
        assert (model.name, model.context) == ("tiny", 4096)

    @pytest.mark.parametrize("kept", [0, 4, 20, 60])
    def test_what_is_none(self, tmp_path: Path, kept: int) -> None:
        """Another file, and one that was cut off, are called what they are."""
        file = gguf(tmp_path / "m.gguf")
        file.write_bytes(file.read_bytes()[:kept])
        with refused(
            f"{file}: is no GGUF file, or not a whole one",
            "llama.cpp serves models in that form; its `convert_hf_to_gguf.py` makes it",
        ):
            read_metadata(file)


class TestOpenModel:
    def test_one_file_however_it_is_named(self, tmp_path: Path) -> None:
        """By its path, or by its name in a folder, with its ending or without."""
        file = gguf(tmp_path / "m.gguf")
        for source in (
            ModelSource(file=file),
            ModelSource(name=str(file)),
            ModelSource(folder=tmp_path),
            ModelSource(folder=tmp_path, name="m"),
            ModelSource(folder=tmp_path, name="m.gguf"),
        ):
            assert open_model(source).file == file
        assert open_model(source).space == "llama_cpp"

    def test_other_quantizations(self, tmp_path: Path) -> None:
        """Further forms are files, or names of files beside the model."""
        gguf(tmp_path / "m.q4.gguf")
        other = gguf(tmp_path / "m.q8.gguf")
        source = ModelSource(file=gguf(tmp_path / "m.gguf"), variants=("m.q4", str(other)))
        model = open_model(source)
        assert model.forms == ("m", "m.q4", "m.q8")
        adapted = model.adapt(built_in_space(), contained=False)
        assert adapted["variant"].choices == model.forms

    def test_a_model_of_several_files(self, tmp_path: Path) -> None:
        """The first is named, all are needed, and the model is called by what they share."""
        files = [gguf(tmp_path / f"big-0000{n}-of-00002.gguf") for n in (1, 2)]
        model = open_model(ModelSource(folder=tmp_path))
        assert (model.name, model.parts) == ("big", tuple(files))
        with refused(f"{files[1]}: is not the first part", f"name {files[0].name}"):
            parts(files[1])
        files[1].unlink()
        with refused(f"{files[1]}: this part of the model is missing", "put it there"):
            parts(files[0])

    @pytest.mark.parametrize(
        ("source", "message", "hint"),
        [
            (ModelSource(), "llama.cpp has no bundled model", NAME),
            (ModelSource(name="x.gguf"), "x.gguf: there is no such file", NAME),
            (ModelSource(file=Path("x.gguf")), "x.gguf: there is no such file", NAME),
            (
                ModelSource(folder=Path("nowhere")),
                "nowhere: a folder of models was expected, but there is no such folder",
                NAME,
            ),
            (
                ModelSource(inputs=(TensorSpec("x", "FP32", (1,)),)),
                "`--input` means nothing to llama.cpp",
                "leave it out",
            ),
        ],
    )
    def test_there_is_none(self, source: ModelSource, message: str, hint: str) -> None:
        """It is said what was expected, and how to name it."""
        with refused(message, hint):
            open_model(source)

    def test_a_folder_without_one(self, tmp_path: Path) -> None:
        """An empty folder has no model."""
        with refused(f"{tmp_path}: no GGUF file was found", NAME):
            open_model(ModelSource(folder=tmp_path))

    def test_another_name(self, tmp_path: Path) -> None:
        """A name that no file has is refused with those that are there."""
        gguf(tmp_path / "m.gguf")
        with refused(f"{tmp_path}: has no GGUF file `n`", "models here: m"):
            open_model(ModelSource(folder=tmp_path, name="n"))


class TestModel:
    def test_its_fingerprint(self, tmp_path: Path) -> None:
        """It is that of the content: it changes with a byte, wherever that is."""
        file = gguf(tmp_path / "m.gguf", weights=bytes(3 << 20))
        first = LlamaCppModel(file).fingerprint
        assert LlamaCppModel(file).fingerprint == first
        gguf(file, weights=bytes(3 << 20)[:-1] + b"x")
        assert LlamaCppModel(file).fingerprint != first

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        """It is looked at before the first start."""
        model = LlamaCppModel(gguf(tmp_path / "m.gguf"))
        model.file.unlink()
        with pytest.raises(ModelError, match="cannot be read: No such file"):
            model.stage(tmp_path)

    def test_requests_that_are_too_long(self, tmp_path: Path) -> None:
        """Prompts that no form of it could answer are refused before anything starts."""
        model = LlamaCppModel(gguf(tmp_path / "m.gguf", context=512))
        longer = LlamaCppModel(gguf(tmp_path / "long.gguf"), [model])
        for each in (model, longer):
            assert each.fit_form(asking(400, 112)) == asking(400, 112)
            with refused(
                "prompts and answers of 513 tokens do not fit into the context of m, which has "
                "512",
                "give shorter ones: `--prompt-tokens`, `--output-tokens`",
            ):
                each.fit_form(asking(400, 113))

    @pytest.mark.parametrize(
        ("task", "fits", "told"),
        [
            (Task.EMBEDDINGS, 512, "texts of 513 tokens"),
            (Task.RERANK, 256, "questions with a document of 514 tokens"),
        ],
    )
    def test_texts_that_are_too_long(
        self, tmp_path: Path, task: Task, fits: int, told: str
    ) -> None:
        """A text has no answer; a question and a document have to fit together."""
        model = LlamaCppModel(gguf(tmp_path / "m.gguf", context=512))
        assert model.fit_form(asking(fits, task=task)) == asking(fits, task=task)
        with refused(
            f"{told} do not fit into the context of m, which has 512",
            "give shorter ones: `--prompt-tokens`",
        ):
            model.fit_form(asking(fits + 1, task=task))


class TestAdapt:
    @pytest.mark.parametrize(
        ("sets", "message"),
        [
            (ServerProperty("slots"), "property: llama.cpp has no property `slots`"),
            (
                ServerFlag("--ctx-size"),
                "flag: `--ctx-size` is what the tuner itself starts the server with",
            ),
            (
                ServerFlag("--slots/--no-slots"),
                "flag: `--slots` is what the tuner itself starts the server with",
            ),
            (ConfigPath("x"), "llama.cpp has no `config`"),
        ],
    )
    def test_what_cannot_be_set(self, tmp_path: Path, sets: Setting, message: str) -> None:
        """A parameter that would do nothing, or take the server elsewhere, is refused."""
        space = SearchSpace("llama_cpp", (replace(integer(), sets=sets),))
        model = LlamaCppModel(gguf(tmp_path / "m.gguf"))
        with pytest.raises(SpaceError, match=message):
            model.adapt(space, contained=False)

    def test_the_shipped_space(self, tmp_path: Path) -> None:
        """All of it is taken, and its baseline is what the server does by itself."""
        adapted = LlamaCppModel(gguf(tmp_path / "m.gguf")).adapt(built_in_space(), contained=True)
        assert adapted == built_in_space()
        assert adapted.defaults["parallel"] == 4


def test_prompts_that_are_not_asked(tmp_path: Path) -> None:
    """What says something of tensors is refused, and so is what a chat has no use for."""
    hint = "leave it out; `--prompt-tokens`, `--output-tokens` or `--dataset` say what is asked"
    with refused("`--shape` means nothing to llama.cpp, which is asked prompts", hint):
        replace(asking(), shapes={"x": (1,)}).of_prompts("llama.cpp")
    with refused("`--batch` means nothing to --task chat", "leave it out"):
        replace(asking(), batch=2).of_prompts("llama.cpp")
    assert issubclass(ModelError, InputError)
