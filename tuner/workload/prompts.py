"""What a language model is asked in one request."""

from dataclasses import dataclass

# Stands once in a prompt that is to be another one each time it is sent, where it begins to be its
# own: as many digits as a serial number has (tuner/load/requests.py).
SERIAL = "0" * 14


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One request.

    Attributes:
        messages: The conversation so far; the last turn is the user's. Of a plain prompt, one.
        output_tokens: How many tokens the answer may have; 0: the server's own limit.
        unique: Whether `SERIAL` is in it.
    """

    messages: tuple[Message, ...]
    output_tokens: int = 0
    unique: bool = False

    @classmethod
    def of(cls, text: str, *, output_tokens: int = 0) -> "Prompt":
        """One turn of the user."""
        return cls(messages=(Message("user", text),), output_tokens=output_tokens)

    @property
    def text(self) -> str:
        """All turns, as one text."""
        return "\n".join(message.text for message in self.messages)
