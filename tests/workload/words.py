"""A tokenizer for tests: each letter is a token, so that words cost what they are long."""

from collections.abc import Sequence


class Letters:
    """Implements Tokenizer; `texts` is what it was asked to count."""

    by = "letters"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def counts(self, texts: Sequence[str]) -> list[int]:
        self.texts += texts
        return [len(text) for text in texts]
