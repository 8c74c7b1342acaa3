"""Documents as YAML that people read: long texts stay as they are."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

# Texts that PyYAML leaves bare, and others read as numbers (YAML 1.2; go-yaml, which Compose and
# Kubernetes have) or as booleans (YAML 1.1).
_AMBIGUOUS = re.compile(
    r"[-+]?(\.?\d[\d_]*|\d[\d_]*\.[\d_]*)(e[-+]?\d+)?|[-+]?0o[0-7_]+|[yn]", re.IGNORECASE
)


class _Dumper(yaml.SafeDumper):
    """`yaml.safe_dump`, with texts of several lines as blocks and without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    quotes = "'" if _AMBIGUOUS.fullmatch(text) else None
    style = "|" if "\n" in text else quotes
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(documents: Iterable[Any]) -> str:
    """One document after the other, their keys in the order that they have."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=99)
