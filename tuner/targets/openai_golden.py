"""What all configurations of a server with OpenAI's interface are compared on.

Of a model that generates, the likeliest token after each of a few fixed texts is asked for, and
the log probabilities of the likeliest ones, the largest first. Which tokens these are is not
compared: two that are as likely as each other change places where a sum is made in another order.
A server that does not tell probabilities is compared on what it says. Of other models it is the
vector of a text, or how well documents fit to a question.

Sources: OpenAI API reference, "Create chat completion" (`logprobs`, `top_logprobs`) and "Create
completion" (`logprobs`, at most 5).
"""

from collections.abc import Callable, Mapping
from typing import Any

from tuner.clients.openai import OpenAiClient
from tuner.errors import ServerError, ServerTimeoutError
from tuner.load.requests import Tensor
from tuner.protocols.openai_task import Task
from tuner.protocols.tensors.datatypes import pack_strings
from tuner.targets.json_outputs import numbers_tensor

# The later ones begin as the earlier ones do: a server that keeps what it knows of a prompt uses
# that here.
_TEXTS = (
    "The quick brown fox",
    "The quick brown fox jumps over the lazy dog, and",
    "The quick brown fox jumps over the lazy dog, and then it runs. One, two, three, four,",
    "def add(a, b):\n    return",
)
_LIKELIEST = 5
# Tokens of an answer whose probabilities nobody tells.
_WORDS = 8


def golden_outputs(client: OpenAiClient, model: str, task: Task) -> tuple[Tensor, ...]:
    """What the server answers to what all configurations are asked.

    Raises:
        ServerError: It does not answer, or in an unknown form.
    """
    match task:
        case Task.EMBEDDINGS:
            asked: Mapping[str, Any] = {"model": model, "input": _TEXTS[1]}
            return (numbers_tensor("embedding", _answered(client, task, asked, _vector)),)
        case Task.RERANK:
            asked = {"model": model, "query": _TEXTS[0], "documents": list(_TEXTS[1:])}
            return (numbers_tensor("relevance", _answered(client, task, asked, _relevance)),)
        case _:
            return tuple(_after(client, model, task, text, n) for n, text in enumerate(_TEXTS, 1))


def _after(client: OpenAiClient, model: str, task: Task, text: str, number: int) -> Tensor:
    """What follows a text."""
    asked = {"model": model, "temperature": 0, "max_tokens": 1}
    if task is Task.CHAT:
        asked |= {"messages": [{"role": "user", "content": text}]}
        likeliest = {"logprobs": True, "top_logprobs": _LIKELIEST}
    else:
        asked |= {"prompt": text}
        likeliest = {"logprobs": _LIKELIEST}
    try:
        logprobs = _answered(client, task, asked | likeliest, _logprobs)
    except ServerTimeoutError:
        raise
    except ServerError:
        logprobs = []
    if logprobs:
        return numbers_tensor(f"logprobs after text {number}", logprobs)
    said = _answered(client, task, asked | {"max_tokens": _WORDS}, _text)
    return Tensor(f"text after text {number}", "BYTES", (1,), pack_strings([said.encode()]))


def _answered(
    client: OpenAiClient, task: Task, asked: Mapping[str, Any], read: Callable[[Any], Any]
) -> Any:
    answer = client.answer(task.path, asked)
    try:
        return read(answer)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ServerError(
            f"{task.path} was answered in an unknown form: {type(error).__name__}: {error}"
        ) from None


def _logprobs(answer: Any) -> list[float]:
    """The largest first; none from a server that does not tell."""
    found = answer["choices"][0].get("logprobs") or {}
    if content := found.get("content"):  # of a chat
        return sorted(
            (float(each["logprob"]) for each in content[0]["top_logprobs"]), reverse=True
        )
    top = found.get("top_logprobs") or [{}]
    # A token more may be there: the one that was chosen.
    return sorted(map(float, top[0].values()), reverse=True)[:_LIKELIEST]


def _text(answer: Any) -> str:
    choice = answer["choices"][0]
    message = choice.get("message") or {}
    return str(choice.get("text") or message.get("content") or message.get("reasoning_content"))


def _vector(answer: Any) -> list[float]:
    return [float(each) for each in answer["data"][0]["embedding"]]


def _relevance(answer: Any) -> list[float]:
    """In the order of the documents."""
    results = sorted(answer["results"], key=lambda each: int(each["index"]))
    return [float(each["relevance_score"]) for each in results]
