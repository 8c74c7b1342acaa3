"""A table of a report, which HTML and Markdown show alike."""

from dataclasses import dataclass

from tuner.report import markup


@dataclass(frozen=True)
class Sheet:
    """Rows of cells, each a text in which what stands between backticks is code.

    `title` says what it shows to those who do not see it. The first cell of a row names the row.
    Columns of `numbers` stand right, rows in `best` stand out.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    best: frozenset[int] = frozenset()

    def markdown(self) -> str:
        """As GitHub, GitLab and Jira show tables."""
        ruler = ["---:" if n in self.numbers else "---" for n in range(len(self.headings))]
        lines = [
            [markup.as_cell(each) for each in self.headings],
            ruler,
            *([markup.as_cell(cell) for cell in row] for row in self.rows),
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
