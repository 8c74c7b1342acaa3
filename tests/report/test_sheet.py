"""Sentences and tables as HTML and as Markdown."""

import pytest

from tuner.report import markup
from tuner.report.sheet import Sheet


@pytest.mark.parametrize(
    ("text", "html", "markdown"),
    [
        ("p99 <= 50 ms", "p99 ≤ 50 ms", "p99 ≤ 50 ms"),
        (
            "see `tuner best a_b`",
            "see <code><span>tuner</span> <span>best</span> <span>a_<wbr>b</span></code>",
            "see `tuner best a_b`",
        ),
        ("<b>*bold*</b>", "&lt;b&gt;*bold*&lt;/b&gt;", r"\<b\>\*bold\*\</b\>"),
        ("`<b>`", "<code>&lt;b&gt;</code>", "`<b>`"),
        ("a\nb", "a\nb", "a b"),
    ],
    ids=["a comparison", "code", "markup", "markup in code", "two lines"],
)
def test_markup(text: str, html: str, markdown: str) -> None:
    """Whatever is said is text; only backticks mean anything."""
    assert markup.as_html(text) == html
    assert markup.as_markdown(text) == markdown


@pytest.mark.parametrize(
    ("text", "code"), [("a=1", "`a=1`"), ("a`b", "`a'b`"), ("-", "-"), ("", "")]
)
def test_code(text: str, code: str) -> None:
    """A value as code; what stands for nothing is none."""
    assert markup.code(text) == code


def test_a_table_in_markdown() -> None:
    """Numbers stand right; a bar ends no cell, not even in code."""
    rows = (("`a|b`", "1"), ("c|d", "2"), (r"`e\|f`", "3"))
    sheet = Sheet("Two", ("Name", "Size"), rows, frozenset({1}))

    assert sheet.markdown().splitlines() == [
        "| Name | Size |",
        "| --- | ---: |",
        r"| `a\|b` | 1 |",
        r"| c\|d | 2 |",
        r"| `e\|f` | 3 |",
    ]
