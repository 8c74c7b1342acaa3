"""What a person may write of a server that the tuner does not know: the section `serve`.

search_spaces/README.md describes the format for users.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


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


class ServeSpec(Strict):
    """How to start the server, how to see that it is ready, and what it is asked.

    `command`, `environment` and `files` are Jinja2 templates over the parameters. `proofs` are
    texts that the server's log must hold, by parameter. Paths are relative to the file.
    """

    command: Annotated[list[str], Field(min_length=1)]
    request: RequestSpec
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    reads: list[str] = []
    directory: str = "."
    image: str = ""
    ready: str = "/"
    proofs: dict[str, str] = {}
