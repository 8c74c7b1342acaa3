"""Reading search space files: what cannot be read, and that nothing ends in a traceback."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.errors import SpaceError
from tuner.space import files as space_files
from tuner.space.document import fingerprint
from tuner.space.resolution import search_space
from tuner.space.space import SearchSpace

FACTS = {"cores": 4, "memory_gib": 16, "numa_nodes": 1}
MINIMAL = Path(__file__).parent / "specs/good/minimal.yaml"

FILES = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WORDS = """
server: parameters: threads: type: int low: 1 high: cores default: 4 sets: {flag: --a} - [ ] { } ,
& * ! !!int !!timestamp !!binary | > ' " # % @ ` ? : .nan 1e400 0x1F 2020-99-99 "\\U00110000" <<:
&a *a --- ... %YAML~1.1 extends: triton null
"""
SPACES = st.sampled_from([" ", "\n", "\n  ", "\n    ", "\t"])
KEYS = """
server description parameters rules hints extends type default low high step log choices sets when
reload config environment flag omit rule because a b
"""
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.integers(),
    st.floats(),
    st.sampled_from(["cores", "2 * cores", "a", "b", "a < 2", "a.b", "not b", "int", "1/0"]),
    st.text(max_size=5),
)
ANY_KEY = st.sampled_from(KEYS.split())
STRUCTURES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_KEY, inner, max_size=6),
    max_leaves=15,
)
PARAMETER = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["int", "float", "categorical", "boolean"]),
        "default": SCALARS,
        "sets": st.fixed_dictionaries({"flag": st.just("--flag")}),
    },
    optional={
        "low": SCALARS,
        "high": SCALARS,
        "step": SCALARS,
        "log": st.booleans(),
        "choices": st.lists(SCALARS, max_size=3),
        "when": SCALARS,
    },
)
NUMBERS = st.one_of(st.integers(-3, 9), st.sampled_from(["cores", "cores / 3", "memory_gib", 0.5]))
NUMERIC = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["int", "float"]),
        "low": NUMBERS,
        "high": st.integers(5, 9),
        "default": NUMBERS,
        "sets": st.fixed_dictionaries({"flag": st.just("--flag")}),
    },
    optional={"log": st.booleans(), "step": st.integers(0, 3)},
)


def refusal(path: Path) -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        space_files.read(path)
    return caught.value


def loaded(path: Path, content: bytes) -> SearchSpace | SpaceError:
    path.write_bytes(content)
    try:
        return search_space(path, FACTS)
    except SpaceError as error:
        return error


def check(path: Path, content: bytes) -> None:
    """The content is a space that holds together, or a SpaceError that says where."""
    found = loaded(path, content)
    if isinstance(found, SpaceError):
        assert found.message.startswith(f"{path}: ")
        assert found.message.encode()
        assert len(found.message) < 2000
    else:
        assert found.activate(found.defaults) == found.defaults
        assert not found.violations(found.defaults)
        assert all(p.accepts(p.default) for p in found.parameters)
        assert all(found[name].accepts(v) for hint in found.hints for name, v in hint.items())
        assert fingerprint(found)


def test_missing_file(file: Path) -> None:
    """A file that is not there is named, and where to look is said."""
    error = refusal(file)
    assert error.message == f"{file}: cannot be read: No such file or directory"
    assert error.hint == "`tuner spaces list` shows the built-in spaces"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (Path("/proc/self"), "Is a directory"),
        (Path("/proc/self/mem"), "Input/output error"),  # no mode bits would keep root from it
        (Path("a\0b"), "embedded null byte"),
    ],
)
def test_what_cannot_be_read(path: Path, reason: str) -> None:
    """What the system says is told; not even a name that no file can have is a traceback."""
    assert refusal(path).message == f"{path}: cannot be read: {reason}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x7fELF\xff", "is not a text file in UTF-8 (byte 5 is not text)"),
        (b"# nothing\n" * 30_000, "has more than 256 KiB, not a space file"),
    ],
    ids=["binary", "large"],
)
def test_what_is_no_text(file: Path, content: bytes, reason: str) -> None:
    """What is no space file at all is recognised as such, and not read to its end."""
    file.write_bytes(content)
    assert refusal(file).message == f"{file}: {reason}"


def test_control_characters(file: Path) -> None:
    """What YAML does not allow in a file is shown without being sent to the terminal."""
    file.write_bytes(b"server: \x1b[2J")
    error = refusal(file)
    assert error.message.startswith(f"{file}: unacceptable character #x001b: special character")
    assert error.hint == "the file must be YAML"


def test_byte_order_mark(file: Path) -> None:
    """An editor's byte order mark does no harm."""
    text = MINIMAL.read_text()
    file.write_text(text, encoding="utf-8-sig")
    assert search_space(file, FACTS).parameters


@FILES
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode(errors="replace"))))
def test_arbitrary_bytes(file: Path, content: bytes) -> None:
    """Bytes and texts of any kind."""
    check(file, content)


@FILES
@given(st.lists(st.tuples(st.sampled_from(WORDS.split()), SPACES)))
def test_arbitrary_yaml(file: Path, words: list[tuple[str, str]]) -> None:
    """The words and signs of YAML in any order."""
    check(file, "".join(map("".join, words)).encode())


@FILES
@given(st.dictionaries(ANY_KEY, STRUCTURES))
def test_arbitrary_structures(file: Path, content: dict[str, Any]) -> None:
    """Known keys with values of any shape."""
    check(file, yaml.safe_dump(content).encode())


@FILES
@given(
    st.dictionaries(st.sampled_from("abc"), PARAMETER, min_size=1),
    st.lists(st.fixed_dictionaries({"rule": SCALARS}), max_size=1),
    st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS), max_size=2),
)
def test_arbitrary_parameters(
    file: Path, parameters: dict[str, Any], rules: list[Any], hints: list[Any]
) -> None:
    """Whole files with values of any kind in every place."""
    content = {"server": "s", "parameters": parameters, "rules": rules, "hints": hints}
    check(file, yaml.safe_dump(content).encode())


@FILES
@given(st.dictionaries(st.sampled_from("ab"), NUMERIC, min_size=1), st.data())
def test_plausible_parameters(file: Path, parameters: dict[str, Any], data: st.DataObject) -> None:
    """Files that are nearly right: every default and every hint is in its domain."""
    names = st.sampled_from(sorted(parameters))
    hints = data.draw(st.lists(st.dictionaries(names, NUMBERS), max_size=2))
    content = {"server": "s", "parameters": parameters, "hints": hints}
    check(file, yaml.safe_dump(content).encode())
