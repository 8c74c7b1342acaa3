"""What is written down of each change."""

from collections.abc import Mapping
from typing import Any

from tuner.errors import HIDDEN, is_secret, masked
from tuner.service.access.principal import Principal
from tuner.service.service import Service
from tuner.store.audit import note


def audited(
    service: Service, who: Principal, action: str, subject: object, **content: Any
) -> None:
    """Write down that `who` did this; secrets in `content` are left out.

    Args:
        service: Whose database has the table.
        who: The principal of the request.
        action: One word: submit, pause, continue, stop, cancel, move, upload, delete.
        subject: What was changed: the name of a study or a model.
        content: What else is worth to be known, as JSON values.

    Raises:
        StorageError: It cannot be written.
    """
    note(
        service.storage,
        by=who.name,
        address=who.address,
        action=action,
        subject=masked(str(subject)),
        content=_without_secrets(content),
    )


def _without_secrets(value: Any) -> Any:
    match value:
        case Mapping():
            return {
                str(name): HIDDEN if is_secret(str(name)) else _without_secrets(each)
                for name, each in value.items()
            }
        case list() | tuple():
            return [_without_secrets(each) for each in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return masked(str(value))
