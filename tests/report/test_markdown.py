"""The report as Markdown."""

from tests.report import studies, texts
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import StudyRecord
from tuner.report import effects_text, markdown
from tuner.space.space import Configuration


def rendered(study: StudyRecord) -> str:
    result = standings(study)
    return markdown.render(study, result, effects_text.of(study, result))


def test_every_word() -> None:
    """A whole night, and a study in which nothing happened yet."""
    found = {"a whole night": studies.night(), "an empty study": studies.study()}

    texts.check(
        "markdown.txt", {title: rendered(each).splitlines() for title, each in found.items()}
    )


def test_what_others_said_is_text() -> None:
    """Neither a value nor a log ends a table or a fence, nor becomes markup."""
    odd = Configuration.of({"flags": "a|b `c` <i>"})
    study = studies.study(
        [
            studies.baseline(),
            studies.trial(1, 300.0, configuration=odd, export="# ```\n"),
            studies.failed(2, Reason.CRASHED, "*gone*", log_tail="error: a|b <script>"),
        ]
    )

    text = rendered(study)

    assert r"`a\|b 'c' <i>`" in text
    assert r"| crashed | 2 | \*gone\* | `error: a\|b <script>` | - |" in text
    assert "\n````\n# ```\n````\n" in text
