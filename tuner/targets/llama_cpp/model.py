"""A model of llama.cpp: a GGUF file, or several that are one, as its user left it.

It is read where it lies: the server only ever reads it, and a copy of it would take as much room
again. Other forms of it, such as other quantizations, are other files.

Source: llama.cpp's gguf-split, which calls the parts of a model NAME-00001-of-00003.gguf.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tuner.errors import InputError, ModelError, SpaceError
from tuner.protocols.openai_task import Task
from tuner.space.space import SearchSpace
from tuner.targets import model_choice, staging, system_libraries, variants
from tuner.targets.base import ModelSource
from tuner.targets.llama_cpp.gguf import read_metadata
from tuner.targets.request_form import RequestForm
from tuner.targets.variants import VariantModel

CONTEXT = "context"
"""The property that says how large the context is: `model` or `requests`."""

LAST = 3
"""The vector of the last token stands for the text (llama.h, `llama_pooling_type`)."""

_SUFFIX = ".gguf"
_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_NO_MODEL = "name a GGUF file: `--model FILE.gguf`"
# What the tuner says itself, or what would take the model, its name or its answers elsewhere.
_OWN_FLAGS = frozenset(
    {
        *("--model", "--model-url", "--hf-repo", "--hf-file", "--docker-repo", "--models-dir"),
        *("--alias", "--host", "--port", "--api-prefix", "--ssl-key-file"),
        *("--api-key", "--api-key-file", "--metrics", "--slots", "--no-slots", "--ctx-size"),
        *("--embedding", "--embeddings", "--rerank", "--reranking"),
        *("--log-verbosity", "--verbosity", "--log-verbose", "--verbose"),
        *("--log-disable", "--log-file", "--log-jsonl", "--no-log-jsonl"),
    }
)
# What has to fit into a context, and what says how long it is.
_OF_ANSWERS = ("prompts and answers", "`--prompt-tokens`, `--output-tokens`")
_LENGTHS = {
    Task.CHAT: _OF_ANSWERS,
    Task.COMPLETIONS: _OF_ANSWERS,
    Task.EMBEDDINGS: ("texts", "`--prompt-tokens`"),
    Task.RERANK: ("questions with a document", "`--prompt-tokens`"),
}


class LlamaCppModel(VariantModel):
    """The model in `file`, which is its first part if there are several."""

    space = "llama_cpp"

    def __init__(self, file: Path, others: Sequence[Self] = ()) -> None:
        self.file = file.absolute()
        self.parts = parts(self.file)
        self.name = _name(self.file)
        self.others = variants.by_name(self.name, others)
        metadata = read_metadata(self.file)
        kind = metadata.get("general.architecture")
        length = metadata.get(f"{kind}.context_length", 0)
        self.context = int(length) if not isinstance(length, str) else 0
        # How the vectors of its tokens become one (llama.h, by number), if it says that.
        self.pooling = metadata.get(f"{kind}.pooling_type")
        # Whether its tokens know of earlier ones alone; those of an encoder know of all.
        self.causal = bool(metadata.get(f"{kind}.attention.causal", True))

    @property
    def own_fingerprint(self) -> str:
        return staging.digest(self.parts, sampled=True)

    def fit_form(self, form: RequestForm) -> RequestForm:
        """`form`, whose requests fit into the model.

        Raises:
            InputError: They do not.
        """
        prompts = form.prompts
        if prompts.dataset is not None:
            return form
        for each in self.whole:
            if 0 < each.context < prompts.tokens:
                what, options = _LENGTHS[prompts.options.task]
                raise InputError(
                    f"{what} of {prompts.tokens} tokens do not fit into the context of "
                    f"{each.name}, which has {each.context}",
                    hint=f"give shorter ones: {options}",
                )
        return form

    def remarks(self, form: RequestForm) -> tuple[str, ...]:
        """What is to be known of the prompts, and of vectors that the model does not explain."""
        if form.prompts.options.task is not Task.EMBEDDINGS:
            return form.prompts.remarks
        means = (
            f"{each.name} does not say how the vectors of its tokens become one: their mean is "
            "taken (`--pooling mean`)"
            for each in self.whole
            if each.pooling is None
        )
        return (*form.prompts.remarks, *means)

    def adapt(self, space: SearchSpace, *, contained: bool) -> SearchSpace:
        """`space` with those libraries only that are here, and what chooses among variants.

        Raises:
            SpaceError: A parameter sets what the server does not have.
        """
        space.refuse_other_than("property", "flag", "environment", server="llama.cpp")
        for parameter, name in space.names_of("property"):
            if name != CONTEXT:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets.property: llama.cpp has no property "
                    f"`{name}`",
                    hint=f"its settings are flags, but for `{CONTEXT}`",
                )
        for parameter, name in space.names_of("flag"):
            if name in _OWN_FLAGS:
                raise SpaceError(
                    f"parameters.{parameter.name}.sets.flag: `{name}` is what the tuner itself "
                    "starts the server with",
                    hint=f"leave the parameter out; `property: {CONTEXT}` is the size of the "
                    "context",
                )
        space = space if contained else system_libraries.usable(space)
        proof = "confirmed: the file that the server says it has loaded (/props)"
        return variants.added(space, self.name, tuple(self.others), proof=proof)

    def stage_own(self, folder: Path) -> None:
        """Nothing is copied: see that it can be read."""
        del folder
        for part in self.parts:
            with staging.readable(part), part.open("rb"):
                pass


def open_model(source: ModelSource) -> LlamaCppModel:
    """The model to tune.

    Raises:
        InputError: There is none, or there are several.
    """
    if source.inputs:
        raise InputError("`--input` means nothing to llama.cpp", hint="leave it out")
    file = _file(source)
    others = [LlamaCppModel(_variant(file.parent, each)) for each in source.variants]
    return LlamaCppModel(file, others)


def _file(source: ModelSource) -> Path:
    if source.file is not None:
        return _existing(source.file)
    if source.folder is None:
        if source.name is None:
            raise ModelError("llama.cpp has no bundled model", hint=_NO_MODEL)
        return _existing(Path(source.name))
    if not source.folder.is_dir():
        raise ModelError(
            f"{source.folder}: a folder of models was expected, but there is no such folder",
            hint=_NO_MODEL,
        )
    models = _models(source.folder)
    if not models:
        raise ModelError(f"{source.folder}: no GGUF file was found", hint=_NO_MODEL)
    name = source.name and source.name.removesuffix(_SUFFIX)
    return model_choice.chosen(models, name, where=source.folder, kind="GGUF file `{}`")


def _models(folder: Path) -> dict[str, Path]:
    """Those of a folder by their names; of several parts the first."""
    found: dict[str, Path] = {}
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        found.setdefault(_name(file), file)
    return found


def _variant(folder: Path, said: str) -> Path:
    """A file, or the name of one in the folder of the model."""
    if Path(said).is_file():
        return Path(said)
    models = _models(folder)
    return model_choice.chosen(
        models, said.removesuffix(_SUFFIX), where=folder, kind="GGUF file `{}`"
    )


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise ModelError(f"{file}: there is no such file", hint=_NO_MODEL)
    return file


def _name(file: Path) -> str:
    part = _PART.fullmatch(file.name)
    return part["name"] if part else file.name.removesuffix(_SUFFIX)


def parts(file: Path) -> tuple[Path, ...]:
    """All files of the model that `file` is the first of; most have one.

    Raises:
        ModelError: It is not the first, or another one is missing.
    """
    part = _PART.fullmatch(file.name)
    if part is None:
        return (file,)
    count = int(part["count"])
    names = (f"{part['name']}-{n:05}-of-{count:05}{_SUFFIX}" for n in range(1, count + 1))
    found = tuple(file.with_name(name) for name in names)
    if int(part["number"]) != 1:
        raise ModelError(f"{file}: is not the first part", hint=f"name {found[0].name}")
    for each in found:
        if not each.is_file():
            raise ModelError(f"{each}: this part of the model is missing", hint="put it there")
    return found
