"""`tuner optimize`, which the service starts and does not import: the command line is above it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tuner.goals import SearchBudget
from tuner.report.best import Measure


@dataclass(frozen=True)
class OptimizeCommand:
    """What is known of the command.

    `options` has a field for each option that a job may have, by the name of its field there, with
    its help as the description and, in `json_schema_extra`, the title of its `group` and whether
    `tuner plan` has it, too (`plans`). `words` makes of those that were said the words after
    `tuner optimize`, and raises an InputError where one of them cannot be used; so does `limits`,
    which says how long a job takes at most. `measure` words the command that measures what the
    load points of a study leave open.
    """

    options: type[BaseModel]
    words: Callable[[Mapping[str, Any]], list[str]]
    limits: Callable[[Mapping[str, Any]], SearchBudget]
    measure: Measure
