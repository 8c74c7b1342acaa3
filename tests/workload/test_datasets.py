"""Prompts and conversations from files, in the forms of other tools."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import refused
from tests.workload.words import Letters
from tuner.workload.conversations import Conversation
from tuner.workload.datasets import Selection, read_conversations, read_prompts
from tuner.workload.prompts import Message, Prompt

HINT = (
    'one JSON document in each line, such as {"prompt": "...", "output_tokens": 80}; '
    "docs/language_models.md has the other forms"
)
ALL = Selection(most=1000, output_tokens=128)
SHAREGPT = {
    "id": "1",
    "conversations": [
        {"from": "human", "value": "hello"},
        {"from": "gpt", "value": "hi you"},
        {"from": "human", "value": "bye"},
        {"from": "gpt", "value": "no"},
    ],
}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image_url"}]},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ],
    "max_tokens": 9,
}


def file(folder: Path, documents: Sequence[Any], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, documents)))
    return path


def prompts(folder: Path, *documents: Any, selection: Selection = ALL) -> list[Prompt]:
    return read_prompts(file(folder, documents), Letters(), selection)


def conversations(folder: Path, *documents: Any) -> list[Conversation]:
    return read_conversations(file(folder, documents), Letters(), ALL)


@pytest.mark.parametrize(
    ("document", "text", "output"),
    [
        ({"prompt": "hello", "output_tokens": 80}, "hello", 80),
        ({"prompt": "hello", "output_tokens_count": 8}, "hello", 8),
        ({"prompt": "hello", "max_tokens": 8}, "hello", 8),
        ({"prompt": "hello", "max_tokens": -1}, "hello", 128),
        ({"prompt": "hello", "max_tokens": 2147483647}, "hello", 128),
        ({"prompt": "hello \ud83d"}, "hello ?", 128),
        ({"text": "hello"}, "hello", 128),
        ({"question": "hello", "answer": "x"}, "hello", 128),
        ({"instruction": "hello", "output_length": 3}, "hello", 3),
        ({"turns": ["hello", "again"]}, "hello", 128),
        (SHAREGPT, "hello", 6),
        (CHAT, "be kind\none\ntwo\nthree", 9),
        ({"custom_id": "1", "method": "POST", "url": "/v1", "body": CHAT}, CHAT, 9),
        ({"messages": CHAT["messages"][:3]}, "be kind\none", 3),
    ],
)
def test_forms_of_prompts(tmp_path: Path, document: Any, text: Any, output: int) -> None:
    """An answer may be as long as it says, or as the recorded one, or as is usual."""
    [prompt] = prompts(tmp_path, document)
    assert prompt.text == ("be kind\none\ntwo\nthree" if text is CHAT else text)
    assert (prompt.output_tokens, prompt.unique) == (output, False)


def test_the_messages_of_a_request_keep_their_roles(tmp_path: Path) -> None:
    """All of it is asked at once."""
    [prompt] = prompts(tmp_path, CHAT)
    roles = [message.role for message in prompt.messages]
    assert roles == ["system", "user", "assistant", "user"]


def test_a_list_in_one_document(tmp_path: Path) -> None:
    """As ShareGPT's own file is."""
    path = tmp_path / "share.json"
    path.write_text(json.dumps([SHAREGPT, SHAREGPT], indent=1))
    assert len(read_prompts(path, Letters(), ALL)) == 2


def test_tables_and_texts(tmp_path: Path) -> None:
    """A `.csv` has columns, a `.txt` lines."""
    (tmp_path / "a.csv").write_text('prompt,output_tokens\n"a, b",7\nc,\n')
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    table = read_prompts(tmp_path / "a.csv", Letters(), ALL)
    assert [(each.text, each.output_tokens) for each in table] == [("a, b", 7), ("c", 128)]
    assert [each.text for each in read_prompts(tmp_path / "a.txt", Letters(), ALL)] == [
        "one",
        "two",
    ]


def test_a_table_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """With a mark of its encoding, numbers with a point, and prompts of any length."""
    long = "word " * 40_000
    table = f'prompt,output_tokens\n"{long}",80.0\n'
    (tmp_path / "a.csv").write_text(table, encoding="utf-8-sig")
    [found] = read_prompts(tmp_path / "a.csv", Letters(), ALL)
    assert (found.text, found.output_tokens) == (long, 80)


def test_other_ends_of_lines(tmp_path: Path) -> None:
    """What Unicode takes for one may stand in a text."""
    text = "one\N{LINE SEPARATOR}two\N{NEXT LINE}three"
    said = json.dumps({"prompt": text}, ensure_ascii=False)
    for name, line in {"a.jsonl": said, "a.txt": text}.items():
        (tmp_path / name).write_text(f"{line}\n{line}\n", encoding="utf-8")
        found = read_prompts(tmp_path / name, Letters(), ALL)
        assert [each.text for each in found] == [text, text]


def test_so_many_are_drawn(tmp_path: Path) -> None:
    """By the seed, in the order of the file; of the others nothing is counted."""
    documents = [
        {"conversations": [{"from": "human", "value": f"q{n}"}, {"from": "gpt", "value": "a" * n}]}
        for n in range(1, 101)
    ]
    tokenizer = Letters()
    few = Selection(most=5, seed=4)
    drawn = read_prompts(file(tmp_path, documents), tokenizer, few)
    lengths = [each.output_tokens for each in drawn]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == len(tokenizer.texts) == 5
    assert drawn == prompts(tmp_path, *documents, selection=few)
    assert drawn != prompts(tmp_path, *documents, selection=Selection(most=5, seed=5))


def test_what_nobody_said_is_passed_over(tmp_path: Path) -> None:
    """Files of recorded conversations have some that are empty, or begin with an answer alone."""
    empty: dict[str, Any] = {"conversations": []}
    silent = {"conversations": [{"from": "human", "value": ""}]}
    answer = {"conversations": [{"from": "gpt", "value": "what?"}]}
    assert [each.text for each in prompts(tmp_path, empty, silent, answer, SHAREGPT)] == ["hello"]
    assert len(conversations(tmp_path, empty, silent, answer, SHAREGPT)) == 1


def test_whole_conversations(tmp_path: Path) -> None:
    """Of each turn the question, the recorded answer, and its length."""
    share, chat = conversations(tmp_path, SHAREGPT, CHAT)
    assert [(t.question, t.answer, t.output_tokens) for t in share.turns] == [
        ("hello", "hi you", 6),
        ("bye", "no", 2),
    ]
    assert chat.before == (Message("system", "be kind"),)
    assert [(t.question, t.output_tokens) for t in chat.turns] == [("one", 9), ("three", 9)]


def test_turns_without_answers(tmp_path: Path) -> None:
    """What stands for an answer is made up, as long as one may be; pauses are recorded."""
    turns = [{"text": "a"}, {"text": "b", "delay": 800}]
    [found] = conversations(tmp_path, {"session_id": "s", "turns": turns, "output_tokens": 40})
    first, second = found.turns
    assert 40 <= len(first.answer) + 9 <= 60
    assert (first.question, second.question, second.pause_s) == ("a", "b", 0.8)


@pytest.mark.parametrize(
    "document",
    [
        *("text", 5, {}, {"prompt": 5}, {"messages": [{"role": "user"}]}, {"turns": [5]}, None),
        *({"prompt": "x", "output_tokens": "many"}, {"conversations": [{}]}, {"body": 5}),
        *({"prompt": "x", "max_tokens": most} for most in (math.inf, math.nan, 10**400)),
        *({"turns": [{"text": "x", "delay": ms}]} for ms in (-1, math.inf, math.nan, 10**400)),
    ],
)
def test_an_unknown_form(tmp_path: Path, document: Any) -> None:
    """It is said which document has it."""
    path = file(tmp_path, [{"prompt": "x"}, document])
    with refused(f"`--dataset {path}`, document 2 has none of the known forms", HINT):
        read_prompts(path, Letters(), ALL)


def test_files_that_are_none(tmp_path: Path) -> None:
    """Missing, no text, no JSON, or without any prompt."""
    path = tmp_path / "data.jsonl"
    said = f"`--dataset {path}`"
    with refused(f"{said} cannot be read: No such file or directory", HINT):
        read_prompts(path, Letters(), ALL)
    for content, message in {
        b"\xff\xfe": f"{said} cannot be read: it is no text",
        b'{"prompt": "x"}\n{no': f"{said}, document 2: JSON is expected",
        b'{"prompt": "x"}\n' + b"[" * 100_000: f"{said}, document 2: JSON is expected",
        b"\n": f"{said} has no prompt in it",
        b"[]": f"{said} has no prompt in it",
    }.items():
        path.write_bytes(content)
        with refused(message, HINT):
            read_prompts(path, Letters(), ALL)
