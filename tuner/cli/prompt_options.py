"""The options of what language models are asked."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from tuner.protocols.openai_task import Task


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """What a language model is asked (`--service-kind openai`)."""

    title: ClassVar = "The prompts"
    task: Annotated[
        Task | None,
        typer.Option(help="What the model does.", show_default="chat, or the space's"),
    ] = None
    prompt_tokens: Annotated[
        str,
        typer.Option(help="Length of prompts: 512, uniform:100:900, normal:512:64, ..."),
    ] = "256"
    output_tokens: Annotated[str, typer.Option(help="Length of answers, alike.")] = "128"
    prefix_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of each prompt that is the same for all.")
    ] = 0.0
    prompts: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Different prompts or conversations; of a file, drawn by the seed.",
            show_default="64, or 1000 of a file",
        ),
    ] = None
    dataset: Annotated[
        Path | None, typer.Option(help="Prompts from a file: JSON lines, ShareGPT, ...")
    ] = None
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="The model's tokenizer.json, where the server does not count."),
    ] = None
    whole_answers: Annotated[
        bool, typer.Option("--whole-answers", help="Answers at once, not token by token.")
    ] = False
    heed_eos: Annotated[
        bool, typer.Option("--heed-eos", help="Answers end where the model ends them.")
    ] = False
    extra: Annotated[
        list[str] | None,
        typer.Option(help="A field of the request, several times: temperature=0.7"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ConversationOptions:
    """Whether whole conversations are played (`--service-kind openai`)."""

    title: ClassVar = "Conversations"
    sessions: Annotated[
        bool,
        typer.Option("--sessions", help="Play conversations: each turn with all before it."),
    ] = False
    turns: Annotated[
        str, typer.Option(help="Turns of one that is made up, as the lengths are given.")
    ] = "4"
    think_time: Annotated[
        str | None, typer.Option(help="Mean pause of users before their next turn: 2s.")
    ] = None


OF_PROMPTS = frozenset(each.name for each in fields(PromptOptions))
OF_CONVERSATIONS = frozenset(each.name for each in fields(ConversationOptions))
