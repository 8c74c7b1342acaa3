"""What the requests of a study carry: tensors that are made up or given, bodies, or prompts."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Self

from tuner.errors import InputError
from tuner.protocols.openai_form import OpenAiForm
from tuner.protocols.tensors.datatypes import pack_strings
from tuner.protocols.tensors.input_data import STRING_LENGTH
from tuner.protocols.tensors.input_files import contents, file_bodies
from tuner.protocols.v2 import RequestParameter, V2Protocol
from tuner.protocols.v2_wire import SequenceForm, check_stateless

# The options that say something of tensors, by field.
_OF_TENSORS = {
    "batch": "--batch",
    "shapes": "--shape",
    "zero": "--input-data",
    "string_length": "--string-length",
    "string_data": "--string-data",
    "parameters": "--request-parameter",
    "protocol": "--protocol",
}
_OF_BODIES = {"bodies": "--body", "content_type": "--content-type"}
# Those of prompts, with what each says.
_OF_PROMPTS: Mapping[str, Callable[[OpenAiForm], object]] = {
    "--task": lambda prompts: (prompts.task_said, prompts.options.task),
    "--prompt-tokens": lambda prompts: prompts.synthetic.prompt,
    "--output-tokens": lambda prompts: prompts.synthetic.output,
    "--prefix-share": lambda prompts: prompts.synthetic.shared,
    "--prompts": lambda prompts: (prompts.synthetic.count, prompts.selection.most),
    "--dataset": lambda prompts: prompts.dataset,
    "--tokenizer": lambda prompts: prompts.tokenizer,
    "--whole-answers": lambda prompts: prompts.options.streaming,
    "--heed-eos": lambda prompts: prompts.options.ignore_eos,
    "--extra": lambda prompts: prompts.options.extra,
}
_OF_ALL = {**_OF_BODIES, "files": "--input-data", **_OF_TENSORS, "headers": "--header"}


@dataclass(frozen=True, kw_only=True)
class RequestForm:
    """What each request carries, and how it goes.

    Servers of tensors get `batch` inferences: of the `files` (perf_analyzer's JSON, or folders),
    or made up, with `shapes` for dimensions left open. Others get `bodies` in turn, as they are,
    with `content_type`, or, where one
    `asks`, `prompts`. `headers` go with every request, `parameters` are those of V2 inference.
    Without a `protocol` it is HTTP, unless the model answers over gRPC alone.
    """

    batch: int = 1
    zero: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    string_length: int = STRING_LENGTH
    string_data: str | None = None
    parameters: Mapping[str, RequestParameter] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    protocol: V2Protocol | None = None
    sequences: SequenceForm = SequenceForm(count=16)  # noqa: RUF009 - it is frozen
    bodies: tuple[bytes, ...] = ()
    content_type: str = ""
    prompts: OpenAiForm = OpenAiForm()  # noqa: RUF009 - it is frozen
    asks: bool = False

    @property
    def grpc(self) -> bool:
        return self.protocol is V2Protocol.GRPC

    def as_record(self) -> dict[str, object]:
        """As a study keeps it; two with the same record ask for the same.

        What files and bodies hold may be large, and secret: their digest is kept. Headers are kept
        by their names alone.

        Raises:
            InputError: A file cannot be read.
        """
        record = self._content()
        if self.files:
            record["files"] = _digest(chain.from_iterable(map(contents, self.files)))
        usual = RequestForm()
        for name in ("string_length", "string_data"):
            if (value := getattr(self, name)) != getattr(usual, name):
                record[name] = value
        record |= {"protocol": V2Protocol.GRPC} if self.grpc else {}
        if self.sequences != usual.sequences:
            record["sequences"] = asdict(self.sequences)
        if self.parameters:
            record["parameters"] = dict(self.parameters)
        if self.headers:
            record["headers"] = sorted(self.headers)
        return record

    def _content(self) -> dict[str, object]:
        if self.asks:
            return {"prompts": self.prompts.as_record()}
        if self.bodies:
            return {
                "bodies": len(self.bodies),
                "digest": _digest(self.bodies),
                "content_type": self.content_type,
            }
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        data = "files" if self.files else "zero" if self.zero else "random"
        return {"batch": self.batch, "data": data, "shapes": shapes}

    def of_tensors(self, server: str, *, v2: bool = True) -> Self:
        """The form for a server of tensors; not each of them speaks `v2`.

        Raises:
            InputError: It is one of bodies, or says what would change nothing.
        """
        hint = "leave it out; `--input-data`, `--shape` and `--batch` say what is sent"
        self._refuse_prompts(server)
        self._refuse(_OF_BODIES, f"{server}, which takes tensors", hint)
        if not v2:
            named = {"parameters": _OF_TENSORS["parameters"]}
            self._refuse(named, f"{server}: it is of V2 inference", "leave it out")
            self.check_stateless(server)
        return self

    def check_stateless(self, whom: str) -> None:
        """Refuse what it says of sequences to one who has none, such as "TorchServe".

        Raises:
            InputError: It says something.
        """
        check_stateless(self.sequences, RequestForm().sequences, whom)

    def of_bodies(self, server: str) -> Self:
        """The form for a server of bodies, with those that `files` name, as for TorchServe.

        Raises:
            InputError: It has none, or says something of tensors; a file cannot be read.
        """
        self._refuse_prompts(server)
        self._refuse(_OF_TENSORS, f"{server}, which takes the bodies as they are", "leave it out")
        self.check_stateless(server)
        bodies = (*self.bodies, *chain.from_iterable(map(file_bodies, self.files)))
        if not bodies:
            raise InputError(
                f"{server} takes requests of any form, so one must be given",
                hint="name a file that holds the body of a request: `--body FILE`; several are "
                "sent in turn",
            )
        return replace(self, bodies=bodies, files=())

    def of_nothing(self, server: str) -> Self:
        """The form where something else says what is sent.

        Raises:
            InputError: It says something.
        """
        hint = "`serve.request` in that file says what is sent; leave it out"
        self._refuse_prompts(server)
        self._refuse(_OF_ALL, server, hint)
        self.check_stateless(server)
        return self

    def of_prompts(self, server: str) -> Self:
        """The form for a server of language models: `batch` prompts in each request.

        Raises:
            InputError: It says something of tensors or bodies.
        """
        hint = (
            "leave it out; `--prompt-tokens`, `--output-tokens` or `--dataset` say what is asked"
        )
        others = {name: said for name, said in _OF_ALL.items() if name not in ("batch", "headers")}
        self._refuse(others, f"{server}, which is asked prompts", hint)
        self.check_stateless(server)
        task = self.prompts.options.task
        if task.generates:
            self._refuse({"batch": "--batch"}, f"--task {task}", "leave it out")
        options = replace(self.prompts.options, headers=self.headers, inputs=self.batch)
        return replace(self, prompts=replace(self.prompts, options=options), asks=True)

    def _refuse_prompts(self, server: str) -> None:
        usual = RequestForm().prompts
        for option, said in _OF_PROMPTS.items():
            if said(self.prompts) != said(usual):
                raise InputError(
                    f"`{option}` means nothing to {server}, which is asked no prompts",
                    hint="leave it out",
                )

    def _refuse(self, options: Mapping[str, str], server: str, hint: str) -> None:
        """Refuse the fields of `options` that are not as usual."""
        usual = RequestForm()
        for name, option in options.items():
            if getattr(self, name) != getattr(usual, name):
                raise InputError(f"`{option}` means nothing to {server}", hint=hint)


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(pack_strings(parts)).hexdigest()[:10]
