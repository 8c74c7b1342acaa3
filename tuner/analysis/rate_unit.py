"""What throughputs count, by what a study asks: known with and without its load points."""

from enum import StrEnum

from tuner.analysis.token_figures import generates
from tuner.records import StudyRecord


class RateUnit(StrEnum):
    """Of what so many are answered in a second.

    An inference is an input of a request, of which a batch has several. An answer that is made of
    output tokens is called by its request.
    """

    INFERENCES = "inferences/s"
    REQUESTS = "requests/s"

    @classmethod
    def of(cls, study: StudyRecord) -> "RateUnit":
        """That of all throughputs of a study."""
        return cls.of_answers(generated=generates(study))

    @classmethod
    def of_answers(cls, *, generated: bool) -> "RateUnit":
        """That of answers which are `generated`, of output tokens, or are not."""
        return cls.REQUESTS if generated else cls.INFERENCES

    @property
    def short(self) -> str:
        """For narrow tables: `inf/s`, or `req/s`."""
        return f"{self[:3]}/s"

    @property
    def noun(self) -> str:
        """One of what is counted: `inference`, or `request`."""
        return self.removesuffix("s/s")


def inferences_per_request(study: StudyRecord) -> int:
    """A batch of tensors, the texts of embeddings, the documents of rerank; else 1."""
    prompts = study.request.get("prompts") or {}
    return int(study.request.get("batch", prompts.get("inputs", 1)))
