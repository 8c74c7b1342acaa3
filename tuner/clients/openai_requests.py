"""What a language-model server is asked: a form that a person gives, made into requests for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tuner.clients.openai import OpenAiClient, ServerTokenizer
from tuner.errors import InputError, ServerError
from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.load.tokens import PIECES_COUNTED
from tuner.protocols.openai import OpenAiOptions, bodies, body, conversation_set, request_set
from tuner.protocols.openai_form import OpenAiForm
from tuner.workload.conversations import Conversation, with_pauses
from tuner.workload.datasets import read_conversations, read_prompts
from tuner.workload.prompts import Prompt
from tuner.workload.synthetic import (
    synthetic_conversations,
    synthetic_prompts,
)
from tuner.workload.tokenizers import Estimate, FileTokenizer, Tokenizer
from tuner.workload.traces import traced_prompts


@dataclass(frozen=True)
class AskedPrompts:
    """Prompts as one server takes them; `remarks` say what is to be known of that.

    Of `conversations` they are the longest. With `one_serial`, those of one run may begin alike.
    """

    prompts: Sequence[Prompt]
    options: OpenAiOptions
    remarks: tuple[str, ...]
    conversations: Sequence[Conversation] = ()
    one_serial: bool = False
    seed: int = 0

    def request_set(self, endpoint: Endpoint) -> RequestSet:
        """The wire-ready requests for that server, wherever it is now.

        Raises:
            InputError: A header cannot be sent.
        """
        if self.conversations:
            return conversation_set(endpoint, self.conversations, self.options, seed=self.seed)
        return request_set(endpoint, self.prompts, self.options, one_serial=self.one_serial)


def asked_prompts(client: OpenAiClient, form: OpenAiForm) -> AskedPrompts:
    """The prompts of `form` for the server that `client` talks to.

    Raises:
        InputError: It has several models, or a file cannot be used.
        ServerError: It does not answer, or takes no such request.
    """
    options = replace(form.options, model=form.options.model or only_model(client))
    tokenizer = _tokenizer(client, form, options.model)
    conversations = _conversations(form, tokenizer)
    prompts = [each.longest for each in conversations] or _prompts(form, tokenizer)
    taken, remarks = _taken(client, prompts, options)
    return AskedPrompts(
        prompts,
        taken,
        (*_of_tokenizer(form, tokenizer), *remarks),
        conversations=conversations,
        one_serial=form.trace is not None,
        seed=form.synthetic.seed,
    )


def _prompts(form: OpenAiForm, tokenizer: Tokenizer) -> Sequence[Prompt]:
    if form.trace is not None:
        return traced_prompts(form.trace, tokenizer, seed=form.synthetic.seed)
    if form.dataset is None:
        return synthetic_prompts(form.synthetic, tokenizer)
    prompts = read_prompts(form.dataset, tokenizer, form.selection)
    if len(prompts) < form.options.inputs:
        raise InputError(
            f"`--batch {form.options.inputs}` needs as many prompts, but "
            f"`--dataset {form.dataset}` has {len(prompts)}",
            hint="lower it, or give a larger file",
        )
    return prompts


def _conversations(form: OpenAiForm, tokenizer: Tokenizer) -> Sequence[Conversation]:
    played = form.conversations
    if played is None:
        return ()
    if form.dataset is None:
        found = synthetic_conversations(form.synthetic, played.turns, tokenizer)
    else:
        found = read_conversations(form.dataset, tokenizer, form.selection)
    return with_pauses(found, played.think_s, seed=form.synthetic.seed)


def only_model(client: OpenAiClient) -> str:
    """The name of the model that the server has.

    Raises:
        InputError: It has several, or none.
        ServerError: It does not answer.
    """
    models = client.models()
    if len(models) != 1:
        known = ", ".join(models) or "none"
        raise InputError(
            f"the server has {len(models)} models: {known}", hint="name one with `--model`"
        )
    return models[0]


def _tokenizer(client: OpenAiClient, form: OpenAiForm, model: str) -> Tokenizer:
    if form.tokenizer is not None:
        return FileTokenizer(form.tokenizer)
    if client.token_count(model, "a") is None:
        return Estimate()
    return ServerTokenizer(client, model)


def _of_tokenizer(form: OpenAiForm, tokenizer: Tokenizer) -> Iterator[str]:
    if form.dataset is None and isinstance(tokenizer, Estimate):
        yield (
            f"the tokens of prompts are counted by {tokenizer.by}; `--tokenizer` counts exactly"
        )


def _taken(
    client: OpenAiClient, prompts: Sequence[Prompt], options: OpenAiOptions
) -> tuple[OpenAiOptions, tuple[str, ...]]:
    """The options that the server takes, and what is to be said of those that it does not.

    Raises:
        ServerError: It takes none of them.
    """
    hint = "check `--model`, the lengths of the prompts, and `--extra`"
    if not options.task.generates:
        [first] = bodies(prompts[: options.inputs], options)
        if said := client.refusal(options.task.path, first):
            raise ServerError(said, hint=hint)
        return options, ()
    longest = max(prompts, key=lambda prompt: len(prompt.text))
    refused = ""
    for tried in _less_and_less(options):
        asked = body(replace(longest, output_tokens=1), tried)
        said = client.refusal(options.task.path, asked)
        if not said:
            return tried, _remarks(options, tried)
        refused = refused or said
    raise ServerError(refused, hint=hint)


def _less_and_less(options: OpenAiOptions) -> Iterator[OpenAiOptions]:
    """Servers refuse fields of the body that they do not know."""
    for ignore_eos in (True, False) if options.ignore_eos else (False,):
        less = replace(options, ignore_eos=ignore_eos)
        yield less
        if options.streaming:
            yield replace(less, continuous_usage=False)
            yield replace(less, continuous_usage=False, include_usage=False)


def _remarks(asked: OpenAiOptions, taken: OpenAiOptions) -> tuple[str, ...]:
    said = []
    if asked.ignore_eos and not taken.ignore_eos:
        said.append(
            "the server does not know `ignore_eos`: answers are as long as the model likes, so "
            "that results of different runs say less of each other"
        )
    if asked.streaming and not taken.include_usage:
        said.append(PIECES_COUNTED)
    return tuple(said)
