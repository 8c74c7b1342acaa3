"""Prompts that are made up: of the lengths that a person wants, and none like another.

Servers keep what they have computed for the beginning of a prompt (prefix caching). So that this
does not make them look faster than they will be, every request begins with a number of its own. A
share of each prompt may be the same for all, as system prompts are: that part stands before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.workload.conversations import Conversation, Turn
from tuner.workload.lengths import Constant, Lengths
from tuner.workload.prompts import SERIAL, Message, Prompt
from tuner.workload.tokenizers import Tokenizer

# Common words, most of which are one token in the vocabularies of today's models.
_WORDS = """
about above after again air all along also always and animal another answer any are around
ask back because been before began being below between big book both boy but call came can
car change children city close cold come could country cut day did different do does done
door down each early earth eat end enough even every example eye face family far father few
find first follow food for form found four from get girl give go good great green group grow
had hand hard has have head hear help her here high him his home house how idea into it its
just keep kind know land large last later learn leave left letter life light like line list
little live long look made make man many may mean men might mile more most mother move much
must name near need never new next night no not now number of off often oil old on once one
only open or other our out over own page paper part people place plant play point put
""".split()  # noqa: SIM905 - a list of them would take a page
_PROMPT, _OUTPUT = Constant(256), Constant(128)
# Corrections after the first count of a whole prompt.
_ROUNDS = 4


@dataclass(frozen=True, kw_only=True)
class SyntheticForm:
    """What is made up.

    Attributes:
        prompt: Tokens of a prompt.
        output: Tokens of an answer.
        shared: The share of a prompt's tokens, from 0 to 1, that is the same for all.
        count: How many prompts there are; they are sent in turn, each time with another number.
        seed: The same seed makes the same prompts.
    """

    prompt: Lengths = _PROMPT
    output: Lengths = _OUTPUT
    shared: float = 0.0
    count: int = 64
    seed: int = 0

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Tokens of each prompt, and of its answer."""
        return list(zip(*self.lengths(np.random.default_rng(self.seed)), strict=True))

    def lengths(self, random: np.random.Generator) -> tuple[list[int], list[int]]:
        """Tokens of all prompts, and of their answers."""
        return self.prompt.draw(random, self.count), self.output.draw(random, self.count)


def synthetic_prompts(form: SyntheticForm, tokenizer: Tokenizer) -> list[Prompt]:
    """Those of `form`: their tokens are right to a word, as `tokenizer` counts.

    Raises:
        ServerError: The tokenizer's server does not answer.
    """
    random = np.random.default_rng(form.seed)
    lengths, outputs = form.lengths(random)
    writer = Writer(tokenizer, random)
    common = writer.text("", round(form.shared * max(lengths))) if form.shared else ""
    wanted = [round(form.shared * length) for length in lengths]
    prompts = []
    for length, shared, output in zip(lengths, wanted, outputs, strict=True):
        begin = writer.cut(common, shared)
        text = writer.text(f"{begin} {SERIAL}".lstrip(), length)
        prompts.append(
            Prompt(messages=(Message("user", text),), output_tokens=output, unique=True)
        )
    return prompts


def synthetic_conversations(
    form: SyntheticForm, turns: Lengths, tokenizer: Tokenizer
) -> list[Conversation]:
    """`form.count` of them, of so many turns: each question is as long as a prompt of `form`.

    Raises:
        ServerError: The tokenizer's server does not answer.
    """
    firsts = synthetic_prompts(form, tokenizer)
    random = np.random.default_rng([form.seed, 1])
    writer = Writer(tokenizer, random)

    def turn(question: str, output: int) -> Turn:
        return Turn(question=question, answer=writer.words(output), output_tokens=output)

    def rest(count: int) -> Iterator[Turn]:
        questions, outputs = form.prompt.draw(random, count), form.output.draw(random, count)
        for question, output in zip(questions, outputs, strict=True):
            yield turn(writer.words(question), output)

    return [
        Conversation(turns=(turn(first.text, first.output_tokens), *rest(count - 1)))
        for first, count in zip(firsts, turns.draw(random, form.count), strict=True)
    ]


class Writer:
    """Writes texts of words, so long as they are to be."""

    def __init__(self, tokenizer: Tokenizer, random: np.random.Generator) -> None:
        self._tokenizer = tokenizer
        self._random = random
        first, self.serial_tokens, *rest = tokenizer.counts(
            ["a", SERIAL, *(f"a {word}" for word in _WORDS)]
        )
        # What a word adds; a tokenizer that merges it with its neighbour is corrected later.
        self._costs = dict(zip(_WORDS, (max(1, n - first) for n in rest), strict=True))

    def text(self, begin: str, tokens: int) -> str:
        """`begin`, and words until there are so many tokens."""
        words = begin.split()
        missing = tokens - (self._count(words) if words else 0)
        for _ in range(_ROUNDS):
            words = self._grown(words, missing) if missing > 0 else words
            missing = tokens - self._count(words)
            while missing < 0 and len(words) > len(begin.split()):
                missing += self._costs[words.pop()]
            if missing <= 0:
                break
        return " ".join(words)

    def words(self, tokens: int, random: np.random.Generator | None = None) -> str:
        """So many tokens by what each word costs, which is not counted again."""
        return " ".join(self._grown((), tokens, random))

    def cut(self, text: str, tokens: int) -> str:
        """The first words of `text`, of so many tokens."""
        kept, spent = [], 0
        for word in text.split():
            spent += self._costs[word]
            if spent > tokens:
                break
            kept.append(word)
        return " ".join(kept)

    def _grown(
        self, words: Sequence[str], missing: int, random: np.random.Generator | None = None
    ) -> list[str]:
        random = random or self._random
        grown = list(words)
        while missing > 0:
            word = _WORDS[int(random.integers(len(_WORDS)))]
            grown.append(word)
            missing -= self._costs[word]
        return grown

    def _count(self, words: Sequence[str]) -> int:
        [count] = self._tokenizer.counts([" ".join(words)])
        return count
