"""Prompts and conversations from files, in the forms of other tools.

A file has one JSON document in each line, or is one list of them. What each may be:

- `{"prompt": "...", "output_tokens": 80}`: vLLM's `custom` dataset, GuideLLM
  (`output_tokens_count`; `question`, `instruction`);
- `{"text": "..."}`: AIPerf's single turns;
- `{"messages": [{"role": "user", "content": "..."}], "max_tokens": 80}`: a request of OpenAI's
  interface, also as the `body` of one in a batch file;
- `{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}`:
  ShareGPT; an answer may have as many tokens as the recorded one;
- `{"turns": ["...", "..."]}`: MT-Bench; `{"turns": [{"text": "...", "delay": 800}]}`: AIPerf's
  sessions, with the milliseconds before each turn.

A file that ends in `.csv` has the columns `prompt` and, if it says it, `output_tokens`; one that
ends in `.txt` has a prompt in each line. What has no question in it is passed over.
"""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from tuner.errors import InputError
from tuner.workload.conversations import Conversation, Turn
from tuner.workload.lengths import LONGEST
from tuner.workload.prompts import Message, Prompt
from tuner.workload.synthetic import Writer
from tuner.workload.tokenizers import Tokenizer

_PROMPT_NAMES = ("prompt", "text", "question", "instruction")
_OUTPUT_NAMES = ("output_tokens", "output_tokens_count", "max_tokens", "output_length")
# Of a pause before a turn; no run takes as long.
_LONGEST_PAUSE_S = 86_400.0
_ROLES = {
    "system": "system",
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard"), "assistant"),
}
# What another document, or a number that is none, makes of an attempt to read it.
_UNFIT = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
_HINT = (
    'one JSON document in each line, such as {"prompt": "...", "output_tokens": 80}; '
    "docs/language_models.md has the other forms"
)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which prompts of a file are asked: `most` of them, drawn by `seed` where there are more.

    An answer whose length the file does not say has `output_tokens`.
    """

    most: int = 1000
    seed: int = 0
    output_tokens: int = 128


@dataclass(frozen=True, kw_only=True)
class _Talk:
    """What a document says; `is_request`: all of it is asked at once, up to its last question.

    `pauses_s` are those before its questions, NaN where it does not say them.
    """

    said: tuple[Message, ...]
    output_tokens: int = 0
    pauses_s: tuple[float, ...] = ()
    is_request: bool = False

    @property
    def questions(self) -> list[int]:
        """Where they stand."""
        return [at for at, message in enumerate(self.said) if message.role == "user"]

    def answer(self, question: int) -> str:
        """What was recorded; empty: nothing."""
        after = self.said[question + 1 : question + 2]
        return after[0].text if after and after[0].role == "assistant" else ""


def read_prompts(path: Path, tokenizer: Tokenizer, selection: Selection) -> list[Prompt]:
    """Of a conversation, the first question.

    Raises:
        InputError: The file cannot be read, or one of its documents has none of the known forms.
        ServerError: The tokenizer's server does not answer.
    """
    talks = _selected(path, selection)
    ends = [talk.questions[-1 if talk.is_request else 0] for talk in talks]
    answers = [talk.answer(end) for talk, end in zip(talks, ends, strict=True)]
    counts = _counts(answers, tokenizer)
    return [
        Prompt(
            messages=talk.said[: end + 1],
            output_tokens=talk.output_tokens or counts.get(answer) or selection.output_tokens,
        )
        for talk, end, answer in zip(talks, ends, answers, strict=True)
    ]


def read_conversations(
    path: Path, tokenizer: Tokenizer, selection: Selection
) -> list[Conversation]:
    """With all their turns; what has no answer is given one that is made up.

    Raises:
        InputError: As above.
        ServerError: As above.
    """
    talks = _selected(path, selection)
    answers = [talk.answer(at) for talk in talks for at in talk.questions]
    counts = _counts(answers, tokenizer)
    writer = Writer(tokenizer, np.random.default_rng([selection.seed, 1]))

    def turn(talk: _Talk, number: int, at: int) -> Turn:
        answer = talk.answer(at)
        output = talk.output_tokens or counts.get(answer) or selection.output_tokens
        return Turn(
            question=talk.said[at].text,
            answer=answer or writer.words(output),
            output_tokens=output,
            pause_s=talk.pauses_s[number] if talk.pauses_s else math.nan,
        )

    return [
        Conversation(
            turns=tuple(turn(talk, number, at) for number, at in enumerate(talk.questions)),
            before=tuple(each for each in talk.said[: talk.questions[0]] if each.role == "system"),
        )
        for talk in talks
    ]


def _counts(answers: list[str], tokenizer: Tokenizer) -> dict[str, int]:
    """The tokens of each text that there is."""
    texts = sorted({*answers} - {""})
    return dict(zip(texts, tokenizer.counts(texts), strict=True)) if texts else {}


def _selected(path: Path, selection: Selection) -> list[_Talk]:
    talks = [
        talk for number, each in _documents(path) if (talk := _talk(path, number, each)).questions
    ]
    if not talks:
        raise InputError(f"`--dataset {path}` has no prompt in it", hint=_HINT)
    if len(talks) <= selection.most:
        return talks
    random = np.random.default_rng(selection.seed)
    drawn = random.choice(len(talks), selection.most, replace=False)
    return [talks[at] for at in sorted(drawn)]


def digest_of(path: Path) -> str:
    """Ten hexadecimal digits that change when the file does.

    Raises:
        InputError: It cannot be read.
    """
    return hashlib.sha256(_text_of(path).encode()).hexdigest()[:10]


def _documents(path: Path) -> Iterator[tuple[int, Any]]:
    """Each with its number, from 1 on."""
    text = _text_of(path)
    match path.suffix:
        case ".csv":
            # A prompt may be longer than what the library takes for a field unless it is told.
            csv.field_size_limit(max(len(text), csv.field_size_limit()))
            yield from enumerate(csv.DictReader(StringIO(text)), start=1)
        case ".txt":
            lines = filter(str.strip, text.split("\n"))
            yield from enumerate(({"text": line} for line in lines), start=1)
        case _:
            yield from _json_documents(path, text)


def _json_documents(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    # Not `splitlines`: texts may have other ends of lines in them.
    lines = [text] if text.lstrip().startswith("[") else text.split("\n")
    number = 0
    for line in filter(str.strip, lines):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(
                f"`--dataset {path}`, document {number + 1}: JSON is expected", hint=_HINT
            ) from None
        for document in found if isinstance(found, list) else [found]:
            number += 1
            yield number, document


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"`--dataset {path}` cannot be read: {reason}", hint=_HINT) from None


def _talk(path: Path, number: int, document: Any) -> _Talk:
    try:
        return _known(document)
    except _UNFIT:
        raise InputError(
            f"`--dataset {path}`, document {number} has none of the known forms", hint=_HINT
        ) from None


def _known(document: Mapping[str, Any]) -> _Talk:
    document = document.get("body", document)
    output = next((_tokens(document[name]) for name in _OUTPUT_NAMES if document.get(name)), 0)
    if "conversations" in document:
        turns = [(turn["from"], turn["value"]) for turn in document["conversations"]]
        return _Talk(said=_messages(turns), output_tokens=output)
    if "messages" in document:
        turns = [(message["role"], message["content"]) for message in document["messages"]]
        return _Talk(said=_messages(turns), output_tokens=output, is_request=True)
    if "turns" in document:
        spoken = [{"text": t} if isinstance(t, str) else t for t in document["turns"]]
        pauses_s = [_pause_s(each.get("delay")) for each in spoken]
        said = _messages([("user", each["text"]) for each in spoken])
        return _Talk(said=said, output_tokens=output, pauses_s=tuple(pauses_s))
    [name, *_] = [each for each in _PROMPT_NAMES if each in document]
    return _Talk(said=_messages([("user", document[name])]), output_tokens=output)


def _tokens(said: Any) -> int:
    """How many an answer may have; 0 where that is not limited (people say -1, or 2147483647)."""
    number = int(float(said))
    return number if 0 < number <= LONGEST else 0


def _pause_s(delay_ms: Any) -> float:
    if delay_ms is None:
        return math.nan
    pause_s = float(delay_ms) / 1e3
    if not 0 <= pause_s <= _LONGEST_PAUSE_S:
        raise ValueError("a pause that nobody makes")
    return pause_s


def _messages(turns: list[tuple[str, Any]]) -> tuple[Message, ...]:
    """None where one of them is empty: that is no conversation which anybody had."""
    said = tuple(Message(_ROLES.get(role, role), _text(content)) for role, content in turns)
    return said if all(message.text for message in said) else ()


def _text(content: Any) -> str:
    """A text, or the texts among the parts of a message; half a character is a question mark."""
    if isinstance(content, list):
        content = "\n".join(part["text"] for part in content if part["type"] == "text")
    if not isinstance(content, str):
        raise TypeError("a text is expected")
    return content.encode(errors="replace").decode()
