"""Several files that deploy a configuration, as one text: each under a comment with its path."""

import re
from collections.abc import Mapping

_HEADING = re.compile(r"^# file: (.+)\n", re.MULTILINE)


def joined(files: Mapping[str, str]) -> str:
    """The text of `files`, which are texts by their paths."""
    return "\n".join(f"# file: {path}\n{text.strip()}\n" for path, text in files.items())


def files(export: str, name: str) -> dict[str, str]:
    """The texts by their paths again; one that was exported alone is called `name`."""
    before, *parts = _HEADING.split(export)
    if before.strip() or not parts:
        return {name: export}
    texts = (text.strip() + "\n" for text in parts[1::2])
    return dict(zip(parts[::2], texts, strict=True))
