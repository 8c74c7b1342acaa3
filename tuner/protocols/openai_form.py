"""What a language-model server is to be asked, as a person says it.

Of no server: what is made of it there is in tuner/clients/openai_requests.py.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from tuner.errors import InputError
from tuner.goals import AnswerLimits
from tuner.load.requests import SERIAL_DIGITS
from tuner.protocols.openai import OpenAiOptions
from tuner.protocols.openai_task import Task
from tuner.workload import tokenizers
from tuner.workload.datasets import Selection, digest_of, read_prompts
from tuner.workload.lengths import Lengths
from tuner.workload.synthetic import SyntheticForm
from tuner.workload.traces import Trace

# Tokens that a chat's template puts around a prompt, at most as far as is usual,
_OF_CHAT = 128
# and the fewest bytes that a token of a text has, on average: no prompt must be too long.
_BYTES_OF_TOKEN = 2
# Marks around a question and a document: of beginning, end, and where one becomes the other; and
# what their serial numbers may take beyond the zeros that are counted.
_MARKS = 4 + 2 * SERIAL_DIGITS


@dataclass(frozen=True, kw_only=True)
class ConversationForm:
    """How conversations are played: of so many turns, where they are made up.

    Their users think for `think_s` seconds on average, unless a file says how long.
    """

    turns: Lengths
    think_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class OpenAiForm:
    """What the requests carry, and how.

    Attributes:
        options: Their form; without a model's name, the only model of the server is asked.
        task_said: Whether a person said the task; a space file may say another one, if not.
        synthetic: What is made up, unless there is a `dataset` or a `trace`.
        dataset: A file of prompts (tuner/workload/datasets.py).
        selection: Which of them.
        tokenizer: A model's `tokenizer.json`; without it, the server counts, if it does.
        conversations: How they are played, if whole ones are.
        trace: The lengths of prompts and answers, and which prompts begin alike.
    """

    options: OpenAiOptions = field(default_factory=OpenAiOptions)
    task_said: bool = False
    synthetic: SyntheticForm = field(default_factory=SyntheticForm)
    dataset: Path | None = None
    selection: Selection = field(default_factory=Selection)
    tokenizer: Path | None = None
    conversations: ConversationForm | None = None
    trace: Trace | None = None

    def for_task(self, task: Task) -> Self:
        """The form for a server that does this, unless a person said another task."""
        if self.task_said:
            return self
        streaming = self.options.streaming and task.generates
        return replace(self, options=replace(self.options, task=task, streaming=streaming))

    def check_limits(self, limits: AnswerLimits) -> None:
        """Refuse limits of tokens where answers come at once: any answer would keep them.

        Raises:
            InputError: There are some.
        """
        if self.options.streaming:
            return
        task = self.options.task
        hint = (
            "leave out `--whole-answers`, or give `--budget-ms`"
            if task.generates
            else f"give `--budget-ms`: what is asked for is `{task}`, and comes at once"
        )
        for option, limit_s in (("ttft", limits.ttft_s), ("itl", limits.itl_s)):
            if limit_s < math.inf:
                raise InputError(
                    f"`--budget-{option}-ms` needs answers that come token by token", hint=hint
                )

    @property
    def longest(self) -> int:
        """As `tokens`, with those that a chat's form or a model puts around texts.

        Raises:
            InputError: The file cannot be used.
        """
        return self.tokens + (_OF_CHAT if self.options.task.generates else _MARKS)

    @property
    def tokens(self) -> int:
        """The most that a server takes at once: a prompt and its answer, or what a vector is of.

        What a file holds is estimated: nobody has counted it before a server runs.

        Raises:
            InputError: The file cannot be used.
        """
        match self.options.task:
            case Task.EMBEDDINGS:
                return max(text for text, _ in self._pairs())
            case Task.RERANK:  # a question and a document are one text
                return 2 * max(text for text, _ in self._pairs())
            case _:
                return max(map(sum, self._pairs()))

    def _pairs(self) -> list[tuple[int, int]]:
        """Tokens of each prompt, and of its answer."""
        if self.dataset is None:
            return self.synthetic.pairs
        prompts = read_prompts(self.dataset, tokenizers.Estimate(), self.selection)
        return [
            (len(each.text.encode()) // _BYTES_OF_TOKEN, each.output_tokens) for each in prompts
        ]

    def as_record(self) -> dict[str, object]:
        """As JSON values; two with the same record ask for the same. Of headers nothing is kept.

        Raises:
            InputError: A file cannot be read.
        """
        options, made_up = self.options, self.synthetic
        record: dict[str, object] = {
            "task": options.task.value,
            "streaming": options.streaming,
            "ignore_eos": options.ignore_eos,
            "extra": dict(options.extra),
            "inputs": options.inputs,
        }
        if self.tokenizer is not None:
            record["tokenizer"] = tokenizers.digest(self.tokenizer)
        if self.dataset is not None:
            return record | {
                "dataset": self.dataset.name,
                "digest": digest_of(self.dataset),
                "prompts": self.selection.most,
            }
        return record | {
            "prompt_tokens": str(made_up.prompt),
            "output_tokens": str(made_up.output),
            "prefix_share": made_up.shared,
            "prompts": made_up.count,
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known of the prompts, whatever server gets them, in sentences."""
        said = (
            f"the prompts of {self.dataset} are sent again and again: a server with a prefix "
            "cache answers faster than it will answer new ones"
        )
        return (said,) if self.dataset is not None and self.conversations is None else ()
