"""What the README and the pages of docs/ say about commands, files and each other is true."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer  # noqa: TID251 - asks typer whether a command can be parsed
import typer.main  # noqa: TID251

from tests.command_line import commands
from tuner.cli.main import app
from tuner.space import spec

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
COMMANDS = ROOT / "docs" / "commands.md"
PAGES = [README, ROOT / "search_spaces" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PAGES}
# `plan` takes the options of `optimize`, whose section has them.
SECTIONS: dict[tuple[str, ...], str] = {("plan",): "tuner optimize"}
FENCE = re.compile(
    r"^(?P<fragment><!-- fragment -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(r"(?:^    \S.*\n)+", re.MULTILINE)
# A link to a file of the repository, without its anchor; others have a scheme.
LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(#[^)\s]*)?\)")
LARGEST_README = 9_216


# The commands that do something, and the names of their options.
LEAVES = {words: each for words, each in commands().items() if not hasattr(each, "commands")}
OPTIONS = [
    (words, parameter.opts)
    for words, command in LEAVES.items()
    for parameter in command.params
    if parameter.param_type_name == "option"
]


def blocks(text: str) -> list[str]:
    """The code blocks of a page."""
    indented = INDENTED.findall(FENCE.sub("", text))
    return [match["code"] for match in FENCE.finditer(text)] + [
        re.sub("^    ", "", block, flags=re.MULTILINE) for block in indented
    ]


def examples(text: str) -> list[str]:
    """The commands in a page's code blocks, each in one line."""
    lines = [
        line.removeprefix("$ ").strip()
        for block in blocks(text)
        for line in re.sub(r"\\\n\s*", "", block).splitlines()
    ]
    return [line for line in lines if line.startswith("tuner ")]


EXAMPLES = [(name, line) for name, text in TEXTS.items() for line in examples(text)]
SPACE_FILES = [
    pytest.param(match["code"], id=f"{name}-{number}")
    for name, text in TEXTS.items()
    for number, match in enumerate(FENCE.finditer(text))
    if match["language"] == "yaml" and not match["fragment"]
]


def section(title: str) -> str:
    """What stands below a heading of the reference of commands; empty if it is not there."""
    found = re.search(
        rf"^## {title}\n(.*?)(?=^## |\Z)", COMMANDS.read_text(), re.MULTILINE | re.DOTALL
    )
    return found[1] if found else ""


def parse(arguments: list[str]) -> str:
    """The command of `arguments`, which the real command line takes apart without running it."""
    command: Any = typer.main.get_command(app)
    words = ["tuner"]
    while arguments and arguments[0] in getattr(command, "commands", {}):
        words.append(arguments[0])
        command, arguments = command.commands[arguments[0]], arguments[1:]
    try:
        command.make_context(" ".join(words), arguments)
    except typer.Exit:
        # `--help` and `--version` are done by then.
        return " ".join(words)
    assert not hasattr(command, "commands"), f"{' '.join(words)} is no command"
    return " ".join(words)


class TestReference:
    @pytest.mark.parametrize("words", LEAVES)
    def test_every_command_has_a_section(self, words: tuple[str, ...]) -> None:
        """Each command has a heading of its own, and an example below it."""
        name = f"tuner {' '.join(words)}"

        assert any(line.startswith(name) for line in examples(section(name)))

    @pytest.mark.parametrize(("words", "names"), OPTIONS)
    def test_every_option_is_named(self, words: tuple[str, ...], names: list[str]) -> None:
        """Each option stands in the section of its command, under all of its names."""
        text = section(SECTIONS.get(words, f"tuner {' '.join(words)}"))

        assert [name for name in names if f"`{name}`" not in text] == []

    def test_no_option_is_made_up(self) -> None:
        """The tables name no option that no command has."""
        named = set(re.findall(r"^\| `(--?[\w-]+)`", COMMANDS.read_text(), re.MULTILINE))

        assert named - {name for _, names in OPTIONS for name in names} == set()

    @pytest.mark.parametrize(("page", "line"), EXAMPLES)
    def test_examples_can_be_parsed(self, page: str, line: str) -> None:
        """Each command of a code block is one that the command line takes."""
        assert line.startswith(parse(shlex.split(line, comments=True)[1:]))

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            ("studies export", "form"),
            ("optimize --budget-ms 5 --budgets 6", "No such option"),
            ("optimize --budget-ms 5 --sampler best", "best"),
            ("studies list all", "unexpected extra argument"),
            ("studies", "Usage"),
            ("measures", "is no command"),
        ],
    )
    def test_others_cannot(self, line: str, complaint: str) -> None:
        """What the command line does not take is found: else the test above proved nothing."""
        with pytest.raises(Exception, match=complaint):
            parse(line.split())


@pytest.mark.parametrize("code", SPACE_FILES)
def test_space_files_load(code: str, tmp_path: Path) -> None:
    """Each YAML block is a whole space file, unless it is marked as a fragment."""
    file = tmp_path / "space.yaml"
    file.write_text(code)

    assert spec.load_space(file).parameters


class TestPages:
    @pytest.mark.parametrize("page", TEXTS)
    def test_links_point_to_files(self, page: str) -> None:
        """Links within the repository have their file."""
        folder = (ROOT / page).parent
        targets = [target for target, _ in LINK.findall(FENCE.sub("", TEXTS[page])) if target]

        assert [each for each in targets if not (folder / each).exists()] == []

    @pytest.mark.parametrize("page", TEXTS)
    def test_links_point_to_headings(self, page: str) -> None:
        """Where a link names a heading of a page, that page has it."""
        folder = (ROOT / page).parent
        missing = []
        for target, anchor in LINK.findall(FENCE.sub("", TEXTS[page])):
            there = (folder / target).resolve() if target else ROOT / page
            if anchor and anchor[1:] not in anchors(there.read_text()):
                missing.append(f"{target}{anchor}")

        assert missing == []

    def test_the_readme_is_short(self) -> None:
        """The README is read in a few minutes; the rest is on pages of its own."""
        assert len(README.read_bytes()) < LARGEST_README

    def test_every_page_is_in_the_navigation(self) -> None:
        """The site leads to each page."""
        pages = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))

        assert {f"docs/{page}" for page in pages} == {
            name for name in TEXTS if name.startswith("docs/")
        }


def anchors(text: str) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {
        re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles
    }
