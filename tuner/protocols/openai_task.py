"""What a language model is asked for, by the paths of OpenAI's interface."""

from enum import StrEnum


class Task(StrEnum):
    """What the model is asked for."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self is Task.CHAT else f"/v1/{self.value}"

    @property
    def generates(self) -> bool:
        """Whether the answer is made of output tokens."""
        return self in (Task.CHAT, Task.COMPLETIONS)
