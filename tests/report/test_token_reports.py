"""What is said of studies of language models: output tokens, their times, and several limits."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.report import studies, texts
from tests.report.test_capacity_text import wish
from tests.report.test_charts import traces
from tests.report.test_comparison_text import told as compared_text
from tests.report.test_html import Page, check_accessible
from tests.report.test_terminal import shown
from tests.report.token_studies import (
    BUDGET,
    LIMITS,
    TOKENS,
    token_point,
    token_study,
    too_slow,
)
from tuner.analysis import pareto
from tuner.analysis.answers import answer
from tuner.analysis.standings import standings
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.tokens import PIECES_COUNTED
from tuner.planning.capacities import capacities
from tuner.planning.offers import offer
from tuner.records import StudyRecord
from tuner.report import (
    answer_text,
    capacity_tables,
    capacity_text,
    effects_text,
    export,
    findings,
    frames,
    fronts,
    html,
    markdown,
    nearest_text,
    summaries,
    terminal,
    token_charts,
    token_text,
)
from tuner.report.json_text import json_text
from tuner.report.study_tables import StudyTable

CHAT = token_study()
WHOLE = replace(CHAT, budget=LatencyBudget(99, 1.0))
FACTS = ("output_per_s", "counted_by", "together_share")


def terminal_lines(study: StudyRecord) -> Iterator[str]:
    found = standings(study)
    blocks = summaries.study_blocks(study, found, effects_text.of(study, found))[:-1]
    for block in [*blocks, *fronts.front_blocks(front_of(study))]:
        yield from shown(block, width=100).splitlines()


def front_of(study: StudyRecord) -> fronts.Front:
    return fronts.Front(study, pareto.trade_off(study), None, pareto.token_fronts(study))


def markdown_lines(study: StudyRecord) -> Iterator[str]:
    """The sections that say something of tokens."""
    found = standings(study)
    text = markdown.render(study, found, effects_text.of(study, found))
    for section in text.split("\n## ")[1:]:
        if "TTFT" in section or "requests/s" in section:
            yield from f"## {section}".splitlines()


def nothing_meets(study: StudyRecord) -> Iterator[str]:
    error = findings.nothing_feasible(study)
    yield error.message
    yield f"- {error.hint}"
    yield from findings.remarks(study, standings(study))


def other_limits(study: StudyRecord) -> Iterator[str]:
    for limit_s in (0.1, 0.18):
        found = answer(study, study.budget.at(limit_s))
        if found.best is None:
            yield answer_text.nothing_within(study, found, "...").message
        else:
            yield answer_text.headline(found, found.best)


def replicas(study: StudyRecord) -> Iterator[str]:
    asked = wish(100.0)
    found = offer(capacities(study, study.budget, set()), asked, 0.5, float(TOKENS))
    yield capacity_text.headline(found, asked)
    yield from shown(capacity_tables.replicas_table([found]), width=120).splitlines()


def test_every_word() -> None:
    """Requests and output tokens per second, TTFT and ITL, each beside its own limit."""
    slower = replace(CHAT, name="later", trials=CHAT.trials[:3])
    texts.check(
        "tokens.txt",
        {
            "several limits": terminal_lines(CHAT),
            "in Markdown": markdown_lines(CHAT),
            "a limit of whole answers": shown(
                terminal.result_table(WHOLE, standings(WHOLE)), width=100
            ).splitlines(),
            "nothing meets them": nothing_meets(too_slow()),
            "other limits": other_limits(CHAT),
            "replicas": replicas(CHAT),
            "compared": compared_text(CHAT, slower),
        },
    )


def test_the_page() -> None:
    """It has the charts of tokens, and says how a request is judged by several limits."""
    found = standings(CHAT)
    source = html.render(CHAT, found, effects_text.of(CHAT, found))
    page = Page(source)

    check_accessible(page)
    assert "99 % of the requests keep all limits at once" in page.text
    assert "Unloaded: the worst of TTFT and ITL, over its limit." in page.text
    assert "Demand, requests/s" in page.text
    assert "inferences/s" not in page.text
    for name in ("speeds", "first-tokens"):
        assert f'id="{name}"' in source
    night = studies.night()
    plain = Page(html.render(night, standings(night), effects_text.of(night, standings(night))))
    assert not re.search("TTFT|tokens/s|requests/s", plain.text)


def test_charts() -> None:
    """Tokens of all against those of one user, and the time to the first; the limits are drawn."""
    found = standings(CHAT)
    speeds = token_charts.speed_chart(CHAT, found)
    others, defaults, best, front = traces(speeds)

    assert [each["name"] for each in (others, defaults, best, front)] == [
        "other configurations",
        "server's defaults",
        "best configuration",
        "Pareto front",
    ]
    assert max(best["y"]) == pytest.approx(TOKENS * 12 * 1.05)
    assert "limit: ITL 20 ms" in speeds
    assert front["x"] == sorted(front["x"], reverse=True)
    firsts = token_charts.first_token_chart(CHAT, found)
    assert "limit: TTFT 200 ms" in firsts
    assert traces(firsts)[-1]["y"] == sorted(traces(firsts)[-1]["y"])
    night = studies.night()
    assert token_charts.speed_chart(night, standings(night)) == ""
    assert token_charts.first_token_chart(night, standings(night)) == ""


def test_documents() -> None:
    """Programs find the tokens of the highest load, and both fronts."""
    found = standings(CHAT)
    assert found.winner
    winner = json.loads(json_text(export.standing(found.winner, CHAT)))
    front = json.loads(json_text(fronts.front_document(front_of(CHAT))))

    tokens = winner["tokens"]
    assert tokens["output_per_s"] == pytest.approx(TOKENS * 12 * 0.99)
    assert tokens["together_share"] == 0.02
    assert tokens["itl"]["p99_ms"] == pytest.approx(19.9, rel=0.01)
    assert tokens["counted_by"] == "server"
    assert set(tokens) == {*FACTS, "ttft", "itl", "whole"}
    assert {row["trial"] for row in front["tokens"]["ttft_ms"]} > {2}
    night = studies.night()
    assert fronts.front_document(front_of(night))["tokens"] is None
    assert fronts.front_document(front_of(night))["unit"] == "inferences/s"
    assert front["unit"] == winner["unit"] == "requests/s"
    winner_of_night = standings(night).winner
    assert winner_of_night
    assert "tokens" not in export.standing(winner_of_night, night)


def test_frames() -> None:
    """A load point has its tokens and their times; those of other studies are missing."""
    table = frames.frame(CHAT, StudyTable.LOAD_POINTS)
    row = table[table["trial"] == 1].iloc[0]

    assert row["output_tokens_per_s"] == TOKENS * 6
    assert row["counted_by"] == "server"
    assert row["itl_p99_s"] == pytest.approx(0.02 * 0.5**0.5, rel=0.02)
    assert row["whole_p50_s"] > row["first_p50_s"] > 0
    plain = frames.frame(studies.night(), StudyTable.LOAD_POINTS)
    missing = ["output_tokens_per_s", "itl_p50_s", "whole_p99_s", "counted_by"]
    assert plain[missing].isna().all().all()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (LIMITS, "p99 = 1.25x the limit of TTFT or ITL without load"),
        (AnswerLimits(ttft_s=0.2), "p99 TTFT = 250 ms without load, 50 ms over the limit (1.25x)"),
        (
            AnswerLimits(whole_s=0.2, itl_s=0.02),
            "p99 = 1.25x the limit of whole answer or ITL without load",
        ),
    ],
)
def test_the_nearest(limits: AnswerLimits, said: str) -> None:
    """Of several limits it is how far the worst time is from its own."""
    study = replace(too_slow(), budget=LatencyBudget.of_answers(99, limits))
    found = findings.nearest(study, standings(study))

    assert found
    assert nearest_text.found(found) == said


def test_tokens_that_arrived_together_are_told() -> None:
    """Where pieces had several tokens, the time between tokens is not what users saw."""
    points = (token_point(4.0, ttft_s=0.1, itl_s=0.01, together=0.6),)
    study = token_study([replace(CHAT.trials[0], points=points)])

    [said] = [each for each in findings.remarks(study, standings(study)) if "together" in each]
    assert said.startswith("60% of the tokens arrived together")


def test_answers_of_one_token() -> None:
    """They have no time between two: it is a dash, and they are on no front of speeds."""
    wishes: dict[str, Any] = {"itl": None, "tokens_per_s": 4.0}
    points = (token_point(4.0, ttft_s=0.1, itl_s=0.01, **wishes),)
    study = token_study([replace(CHAT.trials[0], points=points)])

    [row] = pareto.token_fronts(study)["ttft_ms"]
    assert math.isnan(row["speed"])
    assert "speed" not in pareto.token_fronts(study)
    assert token_charts.speed_chart(study, standings(study)) == ""
    assert token_text.about_fronts(study) == "The most within the budget are 4.00 output tokens/s"
    assert BUDGET.limits.itl_s == 0.02
    text = shown(terminal.result_table(study, standings(study)))
    assert re.search(r"p50 ITL at the highest load +- ", text)


def test_embeddings_are_no_tokens() -> None:
    """Of answers without output tokens nothing is said of any."""
    points = tuple(replace(each, tokens_per_s=0.0) for each in CHAT.trials[0].points)
    study = replace(
        token_study(
            [replace(CHAT.trials[0], points=points)], request={"prompts": {"task": "embeddings"}}
        ),
        budget=LatencyBudget(99, 1.0),
    )

    assert "5.00 inferences/s within p99 <= 1000 ms" in findings.headline(study, standings(study))
    assert pareto.token_fronts(study) == {}
    assert "tokens" not in shown(terminal.result_table(study, standings(study)))


def test_whole_answers_have_no_front() -> None:
    """Answers that come at once have tokens, and no time of one: nothing is drawn of that."""
    points = tuple(replace(p, first_response=None, itl=None) for p in CHAT.trials[0].points)
    study = replace(WHOLE, trials=(replace(CHAT.trials[0], points=points),))
    found = standings(study)

    assert pareto.token_fronts(study) == {}
    assert fronts.front_document(front_of(study))["tokens"] is None
    assert token_charts.speed_chart(study, found) == ""
    assert token_charts.first_token_chart(study, found) == ""
    page = Page(html.render(study, found, effects_text.of(study, found)))
    assert "160 output tokens/s" in page.text
    assert "Output tokens per second against" not in page.text


def test_what_is_to_be_known_of_the_requests() -> None:
    """What the server did not take stands in each report, and once who counted the tokens."""
    points = tuple(replace(each, counted_by="pieces") for each in CHAT.trials[0].points)
    remarks = ("the server does not know `ignore_eos`: answers vary", PIECES_COUNTED)
    baseline = replace(CHAT.trials[0], points=points, remarks=remarks)
    counted = "The server does not say how many tokens an answer has: pieces are counted."

    told = token_study([baseline])
    assert findings.remarks(told, standings(told))[-2:] == (
        "The server does not know `ignore_eos`: answers vary.",
        counted,
    )
    silent = token_study([replace(baseline, remarks=())])
    assert findings.remarks(silent, standings(silent))[-1] == counted
    nothing = replace(too_slow(), trials=(replace(too_slow().trials[0], remarks=remarks),))
    assert findings.remarks(nothing, standings(nothing))[-1] == counted
    trial, *_ = export.study_document(told, standings(told))["trials"]
    assert trial["remarks"] == list(remarks)


def test_chat_without_counted_tokens() -> None:
    """Nothing is said of tokens that nobody counted; what is answered in a second are requests."""
    points = tuple(replace(each, tokens_per_s=math.nan) for each in CHAT.trials[0].points)
    study = replace(WHOLE, trials=(replace(CHAT.trials[0], points=points),))
    found = standings(study)
    told = [
        shown(fronts.pareto_table(study, pareto.trade_off(study))),
        shown(terminal.trials_table(study)),
        findings.headline(study, found),
        Page(html.render(study, found, effects_text.of(study, found))).text,
    ]

    for each in told:
        assert re.search("[Rr]eq(uests)?/s", each)
        assert not re.search("inf(erences)?/s|tokens/s", each, re.IGNORECASE)
