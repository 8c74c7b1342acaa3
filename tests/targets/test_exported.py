"""Several files as one text, and the files of it."""

import pytest

from tuner.targets import exported

pytestmark = pytest.mark.pure


def test_taken_apart_again() -> None:
    """Each file has its text, whatever its comments say."""
    files = {"a/config.pbtxt": "# a comment\nname: 'a'\n", "b-1/config.pbtxt": "name: 'b'\n"}
    text = exported.joined(files)
    assert text.startswith("# file: a/config.pbtxt\n# a comment\n")
    assert exported.files(text, "config.pbtxt") == files


@pytest.mark.parametrize("text", ["", "name: 'a'\n", "# threads: 1\nname: 'a'\n"])
def test_one_file(text: str) -> None:
    """What was exported alone is the server's usual file."""
    assert exported.files(text, "config.pbtxt") == {"config.pbtxt": text}
