"""What language models are asked: the options of prompts made into forms."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.cli.prompt_options import ConversationOptions, PromptOptions
from tuner.cli.values import check_meaning, check_needed, duration_s
from tuner.errors import HIDDEN, InputError, unfit
from tuner.protocols.openai import OpenAiOptions
from tuner.protocols.openai_form import ConversationForm, OpenAiForm
from tuner.protocols.openai_task import Task
from tuner.workload.datasets import Selection
from tuner.workload.lengths import lengths
from tuner.workload.synthetic import SyntheticForm

KEY_VARIABLE = "TUNER_API_KEY"
OF_ANSWERS = frozenset({"output_tokens", "whole_answers", "heed_eos"})
"""The options that say something of answers that are made of output tokens."""
_OF_MADE_UP = {"prompt_tokens", "prefix_share", "output_tokens"}
_LEAVE_OUT = "leave one of them out: the file says what is asked"
# Fields of a body that are set elsewhere.
_TAKEN = ("model", "messages", "prompt", "input", "stream", "stream_options")


def openai_form(
    options: PromptOptions,
    *,
    model: str = "",
    headers: Mapping[str, str] | None = None,
    inputs: int = 1,
    seed: int = 0,
) -> OpenAiForm:
    """The requests that the options describe.

    Raises:
        InputError: One of them cannot be used, or means nothing beside another.
    """
    if options.dataset is not None:
        check_meaning(options, _OF_MADE_UP, "--dataset", hint=_LEAVE_OUT)
    task = task_of(options)
    if not task.generates:
        check_meaning(options, OF_ANSWERS, f"--task {task}", hint="leave it out")
    return OpenAiForm(
        options=OpenAiOptions(
            model=model,
            task=task,
            streaming=task.generates and not options.whole_answers,
            ignore_eos=not options.heed_eos,
            extra=_extra(options.extra),
            headers=headers or {},
            inputs=inputs,
        ),
        task_said=options.task is not None,
        synthetic=SyntheticForm(
            prompt=lengths(options.prompt_tokens, "--prompt-tokens"),
            output=lengths(options.output_tokens, "--output-tokens"),
            shared=options.prefix_share,
            count=max(options.prompts or SyntheticForm.count, inputs),
            seed=seed,
        ),
        dataset=options.dataset,
        selection=Selection(most=options.prompts or Selection.most, seed=seed),
        tokenizer=options.tokenizer,
    )


def task_of(options: PromptOptions) -> Task:
    """What is asked for where no space file says it."""
    return options.task or OpenAiOptions.task


def check_traced(options: PromptOptions) -> None:
    """That nothing is said of prompts which a trace says.

    Raises:
        InputError: Something is.
    """
    names = {*_OF_MADE_UP, "prompts", "dataset"}
    check_meaning(options, names, "--trace", hint=_LEAVE_OUT)


def conversation_form(
    options: ConversationOptions, *, dataset: Path | None
) -> ConversationForm | None:
    """How conversations are played; None: only single prompts are.

    Raises:
        InputError: An option cannot be used, or means nothing beside another.
    """
    if not options.sessions:
        for name in ("turns", "think_time"):
            check_needed(options, name, "--sessions")
        return None
    if dataset is not None:
        check_meaning(options, {"turns"}, "--dataset", hint=_LEAVE_OUT)
    pause = options.think_time
    return ConversationForm(
        turns=lengths(options.turns, "--turns"),
        think_s=0.0 if pause is None else duration_s(pause, "--think-time"),
    )


def _extra(texts: list[str] | None) -> dict[str, Any]:
    return dict(map(_field, texts or ()))


def _field(text: str) -> tuple[str, Any]:
    """`NAME=JSON`; what is no JSON is a text."""
    name, is_there, value = text.partition("=")
    if not name or not is_there:
        raise unfit("--extra", "NAME=VALUE", text, "for example: `--extra temperature=0.7`")
    if name in _TAKEN:
        raise InputError(f"`--extra {name}=...` is set by other options", hint="leave it out")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def with_key(said: dict[str, str]) -> dict[str, str]:
    """The API key of the environment, unless a header says who asks.

    Raises:
        InputError: It cannot be sent.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(
            f"`{KEY_VARIABLE}` is no API key: {HIDDEN}",
            hint="one line of printable ASCII is expected",
        )
    if not key or any(name.lower() == "authorization" for name in said):
        return said
    return {**said, "Authorization": f"Bearer {key}"}
