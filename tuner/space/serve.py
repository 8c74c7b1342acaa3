"""What a person may write of a server that the tuner does not know: the section `serve`.

search_spaces/README.md describes the format for users.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tuner.numbers.quantities import duration_s


class Strict(BaseModel):
    """No other keys, and no other types, than those that are written here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RequestSpec(Strict):
    """One request: `body` is its text, `body_files` are files that hold one each."""

    path: str
    method: str = "POST"
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    body: str | None = None
    body_files: list[str] = []


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise PydanticCustomError("path", "a path that begins with `/` was expected")
    return text


def _duration(text: str) -> str:
    if duration_s(text) is None:
        raise PydanticCustomError("duration", "a duration such as `15m` was expected")
    return text


class OpenAiSpec(Strict):
    """That the server has OpenAI's interface: what it is asked, the command's options say.

    `model` is the name that the server knows the model by, a template as those of `serve` are;
    without one, it is the only name that the server lists.
    """

    task: Literal["chat", "completions", "embeddings", "rerank"] = "chat"
    model: str = ""


class ServeSpec(Strict):
    """How to start the server, how to see that it is ready, and what it is asked.

    `command`, `environment` and `files` are Jinja2 templates over the parameters. `proofs` are
    texts that the server's log must hold, by parameter; `proofs_at` those that its answers must
    hold, by path and parameter. `proof_environment` are variables that a server needs to show
    them, and that no server which is deployed has. `keeps` are folders that
    outlive a start, for what is compiled or downloaded. A start may take `start_timeout` in any
    case. Paths are relative to the file.
    """

    command: Annotated[list[str], Field(min_length=1)]
    request: RequestSpec | None = None
    openai: OpenAiSpec | None = None
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    reads: list[str] = []
    keeps: list[str] = []
    directory: str = "."
    image: str = ""
    ready: str = "/"
    proofs: dict[str, str] = {}
    proofs_at: dict[Annotated[str, AfterValidator(_path)], dict[str, str]] = {}
    proof_environment: dict[str, str] = {}
    start_timeout: Annotated[str, AfterValidator(_duration)] = ""

    @property
    def all_proofs(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        """Texts by parameter: where the file has them, and the path that answers them, if any."""
        yield "serve.proofs", "", self.proofs
        for path, texts in self.proofs_at.items():
            yield f"serve.proofs_at.{path}", path, texts

    @property
    def start_timeout_s(self) -> float:
        """Seconds that a start may take in any case; 0: the file does not say it."""
        return duration_s(self.start_timeout) or 0.0
