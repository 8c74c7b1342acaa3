"""Search space files as plain data: where they are, how they are read, what `extends` does.

They use the plain part of YAML, with the values of YAML 1.2: `true`, `false`, `null`, decimal
numbers, text. PyYAML by itself would take the last of two equal keys, `off` for false, `010` for
8 and `1e3` for text; tags and aliases would let a small file become a large one.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path

import yaml

from tuner.errors import SpaceError, at, did_you_mean, shown
from tuner.space.expressions import Value
from tuner.space.extending import Content, Inherited, overlaid

LARGEST_NUMBER = 1e15  # whole numbers are exact up to here, also as floats
_LARGEST_FILE = 256 * 1024  # bytes; the built-in files have three thousand
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def folder() -> Path:
    """Where the built-in spaces are: in the installed package, or in a checkout beside it."""
    packaged = Path(__file__).parents[1] / "search_spaces"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "search_spaces"


def built_in() -> dict[str, Path]:
    """The built-in space files by name."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def read(path: Path) -> tuple[Content, Inherited]:
    """The mapping in the file, laid over the space that it `extends`; what of it is from there.

    Raises:
        SpaceError: The file cannot be read, or is not a mapping in plain YAML.
    """
    with at(path):
        return extended(mapping(path))


def extended(content: Content) -> tuple[Content, Inherited]:
    """What a space file has, laid over the built-in space that it `extends`.

    Raises:
        SpaceError: There is no such space, or it cannot be changed so.
    """
    if "extends" not in content:
        return content, Inherited()
    name = content["extends"]
    files = built_in()
    if not isinstance(name, str) or name not in files:
        raise SpaceError(
            f"extends: a built-in space was expected, but got {shown(name)}",
            hint=did_you_mean(str(name), files),
        )
    own = {key: value for key, value in content.items() if key != "extends"}
    return overlaid(read(files[name])[0], own, name)


def mapping(path: Path) -> Content:
    """The mapping in a space file.

    Raises:
        SpaceError: It cannot be read, or is none.
    """
    return mapping_of(text_of(path, hint="`tuner spaces list` shows the built-in spaces"))


def mapping_of(text: str) -> Content:
    """The mapping in the text of a space file.

    Raises:
        SpaceError: It is none.
    """
    content = plain_of(text)
    if not isinstance(content, dict):
        raise SpaceError(
            "a mapping with `server` and `parameters` was expected",
            hint="search_spaces/README.md has a complete example",
        )
    return content


def plain(path: Path, *, hint: str) -> object:
    """What a file of plain YAML has; `hint` says where such files are.

    Raises:
        SpaceError: It cannot be read.
    """
    return plain_of(text_of(path, hint=hint))


def plain_of(text: str) -> object:
    """What a text in plain YAML has.

    Raises:
        SpaceError: It is not in plain YAML; with the line.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        return None if root is None else _content(root)
    except yaml.YAMLError as error:
        raise SpaceError(_complaint(error), hint="the file must be YAML") from None
    except RecursionError:
        raise SpaceError("has too many brackets inside each other") from None
    except (ValueError, OverflowError):  # PyYAML leaves these to Python
        raise SpaceError("has an escape such as `\\UFFFFFFFF` for no character") from None


def text_of(path: Path, *, hint: str = "") -> str:
    """The text of a file; `hint` says where such files are.

    Raises:
        SpaceError: It cannot be read, or is larger than such files are.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # a ValueError for a name with a null character
        reason = error.strerror if isinstance(error, OSError) else error
        raise SpaceError(f"cannot be read: {reason}", hint=hint) from None
    if len(data) > _LARGEST_FILE:
        raise SpaceError(f"has more than {_LARGEST_FILE // 1024} KiB, not a space file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpaceError(
            f"is not a text file in UTF-8 (byte {error.start + 1} is not text)"
        ) from None


def _complaint(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        parts = (part for part in (error.context, error.problem) if part)
        return f"line {error.problem_mark.line + 1}: {', '.join(parts)}"
    return " ".join(str(error).split())


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2's core schema, in decimal; no aliases."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML wants it here

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.get_mark().line + 1
            raise SpaceError(f"line {line}: aliases (`*name`) are not used")
        return super().compose_node(parent, index)


_TAG = "tag:yaml.org,2002:"
_FLOAT = (
    r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
for _kind, _pattern, _first in (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", "[-+]?(0|[1-9][0-9_]*)", list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _first)

_SCALARS: dict[str, Callable[[str], Value | None]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": lambda text: float(re.sub(r"\.(?=inf|nan)", "", text.lower())),
    "str": str,
}


def _content(node: yaml.Node) -> object:
    line = f"line {node.start_mark.line + 1}"
    kind = node.tag.removeprefix(_TAG)
    value: object
    match node:
        case yaml.MappingNode() if kind == "map":
            return _pairs(node)
        case yaml.SequenceNode() if kind == "seq":
            return [_content(each) for each in node.value]
        case yaml.ScalarNode() if kind in _SCALARS:
            value = _scalar(kind, node.value)
        case _:
            raise SpaceError(f"{line}: tags (`{node.tag[:40]}`) are not used")
    if isinstance(value, str) and _UNPRINTABLE.search(value):
        raise SpaceError(f"{line}: a text must not have control characters, but got {value!a:.40}")
    if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:  # nor is .nan
        raise SpaceError(
            f"{line}: a number must be within -1e15 and 1e15, but got {node.value[:40]}"
        )
    return value


def _scalar(kind: str, text: str) -> Value | None:
    try:
        return _SCALARS[kind](text)
    except ValueError:  # Python reads no whole number of more than 4300 digits
        return math.inf


def _pairs(node: yaml.MappingNode) -> Content:
    pairs: Content = {}
    for key, value in node.value:
        line = f"line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or _UNPRINTABLE.search(key.value):
            raise SpaceError(f"{line}: a key must be a plain text")
        if key.value in pairs:
            raise SpaceError(
                f"{line}: the key `{key.value}` is there twice in the same mapping",
                hint="remove one of the two, or give it another name",
            )
        pairs[key.value] = _content(value)
    return pairs
