"""Documents as YAML that people read: long texts stay as they are."""

from collections.abc import Iterable
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """`yaml.safe_dump`, with texts of several lines as blocks and without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(documents: Iterable[Any]) -> str:
    """One document after the other, their keys in the order that they have."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=99)
