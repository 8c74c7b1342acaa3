"""What may vary of llama.cpp's server where it is asked for vectors of texts, or to rank them.

Such a server makes no output tokens, and most models take a text at once: with all its tokens in
one micro-batch.

Source: llama.cpp's tools/server/server.cpp ("embeddings require all tokens to be processed in a
single ubatch"), server-context.cpp (`can_split`, the prompt cache), llama_context::graph_compute
(threads by the number of tokens); tools/server/README.md (`LLAMA_ARG_CACHE_RAM`).
"""

from dataclasses import replace

from tuner.protocols.openai_task import Task
from tuner.space.expressions import Expression
from tuner.space.settings import Settings
from tuner.space.space import Parameter, Rule, SearchSpace
from tuner.targets.llama_cpp.model import LAST, LlamaCppModel
from tuner.targets.request_form import RequestForm

_BATCH = "--batch-size"
_MICRO_BATCH = "--ubatch-size"
_CACHE = "--cache-ram"
# A server that is older than `--cache-ram` does not start with it, but passes over its variable.
_CACHE_VARIABLE = "LLAMA_ARG_CACHE_RAM"
_OF_TASK = {Task.EMBEDDINGS: "--embeddings", Task.RERANK: "--reranking"}

# A batch is a micro-batch there, and prompts are not looked for in memory; the others are about
# tokens that are made one after the other.
_OF_ANSWERS = frozenset(
    {_BATCH, _CACHE, "--threads", "--cont-batching", "--no-cont-batching", "--spec-type"}
)
# The beginning of a text is known from an earlier one only where texts are computed in parts.
_OF_PARTS = frozenset({"--cache-prompt", "--no-cache-prompt"})
# An encoder keeps no keys and values.
_OF_MEMORY = frozenset({"--cache-type-k", "--cache-type-v"})
# The texts that configurations are compared on have fewer tokens than this, even letter by letter.
_COMPARED = 128


def fit_space(model: LlamaCppModel, space: SearchSpace, form: RequestForm) -> SearchSpace:
    """What matters of `space` for requests of `form`, to any form of the model.

    Micro-batches hold the longest text, unless no form of the model needs that.
    """
    task = form.prompts.options.task
    if task.generates:
        return space
    in_parts = [_computes_parts(each, task) for each in model.whole]
    idle = set(_OF_ANSWERS)
    if not any(in_parts):
        idle |= _OF_PARTS
    if not any(each.causal for each in model.whole):
        idle |= _OF_MEMORY
    space = space.without({p.name for p, flag in space.names_of("flag") if flag in idle})
    for parameter, flag in space.names_of("flag"):
        if flag == _MICRO_BATCH and not all(in_parts):
            space = _holding(space, parameter, max(form.prompts.longest, _COMPARED))
    return space


def flags(task: Task, model: LlamaCppModel, settings: Settings) -> list[str]:
    """What a server for `task` is started with, beside its `settings`."""
    if task.generates:
        return []
    said = [_OF_TASK[task]]
    if task is Task.EMBEDDINGS and model.pooling is None:
        said += ["--pooling", "mean"]
    size = dict(settings.flags).get(_MICRO_BATCH)
    return said if size is None else [*said, _BATCH, str(size)]


def environment(task: Task) -> dict[str, str]:
    """The variables that a server for `task` is started with.

    Its memory of texts would grow with each request, and nothing is ever looked for there.
    """
    return {} if task.generates else {_CACHE_VARIABLE: "0"}


def _computes_parts(model: LlamaCppModel, task: Task) -> bool:
    """Whether one form of a model takes a long text in several micro-batches."""
    return task is Task.EMBEDDINGS and model.causal and model.pooling == LAST


def _holding(space: SearchSpace, parameter: Parameter, tokens: int) -> SearchSpace:
    """`space` whose `parameter` is at least `tokens`; a default that is not is a power of 2."""
    rule = Rule(
        Expression.parse(f"{parameter.name} >= {tokens}"),
        because=f"llama.cpp takes a text of {tokens} tokens at once, or not at all",
    )
    if isinstance(parameter.default, int) and parameter.default < tokens:
        space = space.with_default(parameter.name, 1 << (tokens - 1).bit_length())
    return replace(space, rules=(*space.rules, rule))
