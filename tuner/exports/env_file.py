"""The environment of a service as a file that `docker run --env-file` and dotenv read alike."""

from tuner.errors import InputError
from tuner.exports.service import Service, comments

# What one of them takes for more than itself: Docker hands on quotation marks as they are.
_SPECIAL = ("\n", "\r", "'", '"', "\\", "$", "`", " #")


def text(service: Service) -> str:
    """A line for each variable; a secret has its name alone, which Docker looks up for itself.

    Raises:
        InputError: A value cannot stand in such a file.
    """
    lines = [f"{name}={_plain(name, value)}\n" for name, value in service.environment.items()]
    lines += [f"{name}\n" for name in service.secrets]
    notes = [] if lines else ["The configuration sets no variable."]
    if service.secrets:
        notes.append("Names without a value are secrets, which are not stored.")
    return comments(tuple(notes)) + "".join(lines)


def _plain(name: str, value: str) -> str:
    if value != value.strip() or any(each in value for each in _SPECIAL):
        raise InputError(
            f"the value of {name} has what env files disagree on: quotation marks, `$`, `#`, "
            "backslashes, blanks at its ends or several lines",
            hint="`--format compose` and `--format systemd` can say it",
        )
    return value
