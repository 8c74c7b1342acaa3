"""Every error a person can see, apart from those of the runners.

TunerError                    exit status 1: something failed
├── InputError                exit status 2: an option or a file that cannot be used
│   ├── SpaceError            a search space file
│   ├── ModelError            a model repository or a model's configuration
│   ├── StudyMissingError     no study has that name
│   └── StudyChangedError     a study is continued with something else than it began with
├── ServerMissingError        the server's program is not installed
├── StorageError              the database cannot be read or written
│   └── StudyLostError        another tuner has taken over the study that this one runs
├── StudyHeldError            another tuner runs the study
├── LoadError                 the load engine itself failed
│   └── EngineLostError       one of its processes died, or hangs
├── ServerError               a server did not do what was asked of it
│   └── ServerTimeoutError    it did not answer in time
├── NothingFeasibleError      exit status 3: no configuration meets the latency budget
└── TrialFailure              one configuration failed, for a Reason; never ends a study
"""

import difflib
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum

HIDDEN = "***"
"""What is shown in place of a secret."""

# Who asks, in a URL: up to the last `@`, as passwords are often not encoded. In quotation marks,
# blanks are part of it. A path has made one of two slashes; digests of images are no passwords.
_QUOTED_USER = re.compile(r"(`[\w+.-]*:/{1,2})[^`]*@")
_USER = re.compile(r"(\w:/{1,2})\S*@")
_BARE_USER = re.compile(r"(?<![\w.:/-])[^\s/`'\":@]+:[^\s/`'\"]*@(?!sha\d)")
_QUERY = re.compile(r"([?&][\w.%-]+=)[^\s&#`]+?(?=[:,.;)]*(?:[\s&#`]|$))")
_SECRET_NAME = re.compile(
    r"token(?!iz|s)|secret|passw|pwd|credential|auth(?!or(?!i))|cookie|private|(^|[_-]|api)key($|[_-])",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """`text` without the users, the passwords and the queries of URLs in it."""
    text = _USER.sub(rf"\1{HIDDEN}@", _QUOTED_USER.sub(rf"\1{HIDDEN}@", text))
    return _QUERY.sub(rf"\1{HIDDEN}", _BARE_USER.sub(f"{HIDDEN}@", text))


def is_secret(name: str) -> bool:
    """Whether what is called so (a variable, a header) is to be kept to oneself."""
    return _SECRET_NAME.search(name) is not None


def hides(name: str, text: str) -> bool:
    """Whether a variable is a secret: it is called so, or its text is a URL with one in it."""
    return is_secret(name) or masked(text) != text


class TunerError(Exception):
    """What was expected and what came (`message`), and what to do next (`hint`).

    Nobody has to think of the secrets in URLs: they are masked here.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = masked(message)
        self.hint = masked(hint)
        super().__init__(self.message)


class InputError(TunerError):
    """An option or a file that cannot be used as it is."""

    exit_status = 2


class SpaceError(InputError):
    """A search space file says something that cannot be searched."""


class ModelError(InputError):
    """A model repository, or the configuration of a model in it, cannot be used."""


class StudyMissingError(InputError):
    """There is no study of that name."""


class StudyChangedError(InputError):
    """A study is to be continued with another space, model or latency budget."""


class ServerMissingError(TunerError):
    """The program of the server is not installed."""


class StorageError(TunerError):
    """The database cannot be read or written."""


class StudyLostError(StorageError):
    """Another tuner has taken over the study that this one runs: it may write nothing more."""


class StudyHeldError(TunerError):
    """Another tuner runs the study."""


class LoadError(TunerError):
    """The load engine stopped working, or cannot send what was asked of it."""


class EngineLostError(LoadError):
    """A process of the load engine died, or does not answer."""


class ServerError(TunerError):
    """A server that runs refused, or did not answer, a request of its control interface."""


class ServerTimeoutError(ServerError):
    """A server that runs did not answer in time."""


class NothingFeasibleError(TunerError):
    """The search ended, and no configuration meets the latency budget."""

    exit_status = 3


class Reason(StrEnum):
    """Why a trial failed: a closed list, each with its own meaning."""

    INVALID_CONFIGURATION = "invalid_configuration"  # the server refused the configuration
    START_FAILED = "start_failed"  # the server ended before it listened
    START_TIMEOUT = "start_timeout"  # the server did not listen in time
    NOT_READY = "not_ready"  # the model did not answer a first inference
    REFUTED = "refuted"  # a parameter did not take effect
    CRASHED = "crashed"  # the server ended under load
    OUT_OF_MEMORY = "out_of_memory"  # the server got no memory, or was killed for it
    UNRESPONSIVE = "unresponsive"  # the server runs but stopped answering
    WRONG_OUTPUT = "wrong_output"  # the outputs differ from the baseline's
    LOAD_FAILED = "load_failed"  # too many requests failed
    CLIENT_OVERLOADED = "client_overloaded"  # the load engine could not keep up
    INTERRUPTED = "interrupted"  # the tuner was stopped


class TrialFailure(TunerError):  # noqa: N818 - a failed trial is a result, not an error
    """One configuration failed; the study goes on with the next.

    `log_tail` is what a server that is gone already said last.
    """

    def __init__(self, reason: Reason, message: str, *, log_tail: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.log_tail = log_tail


@contextmanager
def at(place: object) -> Iterator[None]:
    """Errors within say where they are, and stay of their class."""
    try:
        yield
    except InputError as error:
        message = f"{place}: {error.message}" if place else error.message
        raise type(error)(message, hint=error.hint) from None


def unfit(option: str, wanted: str, got: str | float, hint: str = "") -> InputError:
    """What is said where the value of `option` is not `wanted`."""
    shown = f"`{got}`" if isinstance(got, str) else f"{got:g}"
    return InputError(f"`{option}` must be {wanted}, but got {shown}", hint=hint)


def did_you_mean(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    names = ", ".join(f"`{name}`" for name in known)
    return f"did you mean `{close[0]}`?" if close else f"known: {names}"


def shown(value: object, *, mapping: str = "mapping") -> str:
    """`value` as a person wrote it, and not too long; a dictionary is called a `mapping`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {quoted(value)}"
        case dict() | list():
            kind = mapping if isinstance(value, dict) else "list"
            return f"a {kind}" if value else f"an empty {kind}"
        case _:
            return str(value)[:40]


def quoted(text: str) -> str:
    """Escaped as Python would: half of a surrogate pair, for one, could not be printed."""
    return f"`{repr(text[:40])[1:-1]}`"
