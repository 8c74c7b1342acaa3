"""`tuner capacity`: replicas and money for a demand, from stored studies."""

from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Tuner, error
from tests.report import studies
from tests.report.studies import loads
from tests.store.test_storage import stored
from tuner.goals import LatencyBudget
from tuner.records import StudyRecord

EARLY = studies.BEGAN.replace(year=2020)


def study(name: str, factor: float = 1.0, **wishes: Any) -> StudyRecord:
    """The defaults, what carries most within 50 ms, and what carries most within 20 ms."""
    trials = [
        studies.baseline(150.0 * factor, points=loads((100, 10), (150, 40), (160, 60))),
        studies.trial(1, 2500.0 * factor, points=loads((1000, 25), (2400, 45), (2600, 90))),
        studies.trial(2, 2000.0 * factor, points=loads((1900, 17.8), (2450, 24.1), (2500, 60))),
    ]
    return studies.study(trials, **({"name": name, "created_at": EARLY} | wishes))


@pytest.fixture(autouse=True)
def with_studies(folder: Path) -> None:
    slow = studies.infeasible(studies.baseline(), unloaded_s=0.08)
    stored(
        folder / "studies.db",
        study("l4", created_at=studies.BEGAN),
        study("l40s", 4.0),
        study("batches", request={"batch": 8}),
        study("stricter", budget=LatencyBudget(99, 0.020)),
        studies.study([slow], name="slow", created_at=EARLY),
    )
    (folder / "day.csv").write_text("time,requests per second\n00:00,500\n08:00,500\n16:00,9000\n")


class TestOneStudy:
    def test_of_a_demand(self, tuner: Tuner) -> None:
        """The newest study answers; the sentence stands above the table."""
        text, document = tuner.both("capacity", "--demand", "9500", "--spare", "1")

        assert text.startswith(
            "9,500 requests/s within p99 <= 50 ms: 6 replicas of the best configuration \n"
            "(trial 1); the server's defaults would need 72\n"
        )
        assert "2,257 to 2,769" in text
        assert "cost" not in text
        [of_budget] = document["latency_budgets"]
        [of_study] = of_budget["studies"]
        best, baseline, front = of_study["configurations"]
        assert (best["role"], best["trial"], best["plan"]["replicas"]) == ("winner", 1, 6)
        assert best["plan"]["replicas_interval"] == {"low": 5, "estimate": 5, "high": 6}
        assert (baseline["role"], front["role"], front["trial"]) == ("baseline", "front", 2)
        assert of_study["price_per_hour"] is None
        assert (of_budget["percentile"], of_budget["limit_ms"]) == (99, 50.0)
        assert of_study["confidence"] is None  # no fresh start confirmed it
        assert of_study["unit"] == "inferences/s"
        assert (best["proved_load"], best["found_over"]) == (None, None)

    def test_that_fresh_starts_confirmed(self, tuner: Tuner, folder: Path) -> None:
        """Only then the confidence has a number."""
        stored(folder / "night.db", studies.night())

        content = tuner("capacity", "--db", "night.db", "--demand", "9", "--json").json

        [of_study] = content["latency_budgets"][0]["studies"]
        assert of_study["confidence"] == 0.975

    def test_with_a_price(self, tuner: Tuner) -> None:
        """Costs an hour and of a million inferences, for what is kept beside the demand, too."""
        asked = ("--demand", "9000", "--price", "0.5/h", "--peak-factor", "1.5")
        text, document = tuner.both("capacity", "l4", *asked, "--headroom", "20%")

        best = document["latency_budgets"][0]["studies"][0]["configurations"][0]["plan"]
        assert best["replicas"] == 8
        assert best["cost_per_hour"]["high"] == 4.0
        assert best["cost_per_million"]["high"] == pytest.approx(4e6 / (9000 * 3600))
        assert document["reserve"] == {"peak_factor": 1.5, "headroom": 0.2, "spare": 0}
        assert ", 4.00 an hour" in text.replace("\n", " ")

    def test_of_other_budgets(self, tuner: Tuner) -> None:
        """Each has its table, in the order that they were given in."""
        asked = ("--budget-ms", "20", "--budget-ms", "5", "--budget-ms", "50")
        text, document = tuner.both("capacity", "--demand", "9000", *asked)

        budgets = document["latency_budgets"]
        assert [each["latency_budget"] for each in budgets] == [
            "p99 <= 20 ms", "p99 <= 5 ms", "p99 <= 50 ms",
        ]  # fmt: skip
        firsts = [each["studies"][0]["configurations"][:1] for each in budgets]
        assert [[(e["trial"], e["known"]) for e in first] for first in firsts] == [
            [(2, "interpolated")], [], [(1, "measured")],
        ]  # fmt: skip
        assert "\nno configuration meets p99 <= 5 ms; the nearest has" in text
        assert text.count("of capacity") == 2

    def test_of_another_percentile(self, tuner: Tuner) -> None:
        """The limit is the study's own then."""
        content = tuner("capacity", "--demand", "9000", "--percentile", "95", "--json").json

        assert content["latency_budgets"][0]["latency_budget"] == "p95 <= 50 ms"

    def test_of_a_day(self, tuner: Tuner) -> None:
        """Replicas by time, and the bill of those that follow and of those that do not."""
        asked = ("--demand-file", "day.csv", "--price", "0.5/h")
        text, document = tuner.both("capacity", *asked)

        plan = document["latency_budgets"][0]["studies"][0]["configurations"][0]["plan"]
        assert [(e["begins"], e["ends"], e["replicas"]) for e in plan["periods"]] == [
            ("00:00", "08:00", 1), ("08:00", "16:00", 4), ("16:00", "00:00", 4),
        ]  # fmt: skip
        assert plan["fixed"]["cost"]["high"] == 4 * 24 * 0.5
        assert plan["following"]["replica_hours"]["high"] == 72
        assert "Over the day, the best configuration (trial 1):" in text
        assert "replica-hours" in text
        assert document["demand"] == {
            "highest_requests_per_s": 9000.0,
            "mean_requests_per_s": pytest.approx((500 + 4750 + 4750) / 3),
            "length_s": 86400.0,
        }

    def test_explained(self, tuner: Tuner) -> None:
        """The model stands below, with the numbers of this demand."""
        text = " ".join(tuner("capacity", "--demand", "9000", "--explain").out.split())

        assert "Replicas do not add up where they share a machine" in text
        assert "9,000 inferences/s x 1 / (2,257 x 1), rounded up, + 0 = 4 replicas" in text

    def test_that_nothing_meets(self, tuner: Tuner) -> None:
        """The nearest configuration is named, with status 3."""
        assert tuner("capacity", "slow", "--demand", "9") == error(
            "no configuration meets p99 <= 50 ms; the nearest has p99 = 80 ms without load, 30 ms "
            "over the limit (1.60x): "
            f"{studies.DEFAULTS}",
            "try `--budget-ms 160`, or a faster model",
            status=3,
        )
        document = tuner("capacity", "slow", "--demand", "9", "--json")
        [of_study] = document.json["latency_budgets"][0]["studies"]
        assert (document.status, of_study["configurations"]) == (3, [])
        assert of_study["nearest"]["latency_ms"] == 80.0
        other = tuner("capacity", "l4", "--demand", "9", "--budget-ms", "5")
        assert (other.status, other.out) == (3, "")
        assert other.err.startswith("error: no configuration meets p99 <= 5 ms; the nearest has")


class TestSeveralStudies:
    def test_which_is_the_cheapest(self, tuner: Tuner) -> None:
        """By what its replicas cost, not by their number."""
        prices = ("--price", "l40s=3/h", "--price", "0.5/h")
        text, document = tuner.both("capacity", "l4", "l40s", "--demand", "9000", *prices)

        [of_budget] = document["latency_budgets"]
        assert of_budget["cheapest"] == {"study": "l4", "surely": True}
        assert [each["price_per_hour"] for each in of_budget["studies"]] == [0.5, 3.0]
        assert text.startswith("`l4` is the cheapest for this demand within p99 <= 50 ms: ")
        assert "trial 2" not in text  # the front is for one study

    def test_without_prices(self, tuner: Tuner) -> None:
        """It is said what makes them comparable."""
        text = tuner("capacity", "l4", "l40s", "--demand", "9000").out.replace("\n", " ")

        assert "`--price STUDY=0.53/h` for each says which study is the cheapest" in text

    def test_of_which_one_meets_nothing(self, tuner: Tuner) -> None:
        """The others are planned with, and it is said of that one."""
        asked = ("--demand", "9000", "--price", "1/h")
        result = tuner("capacity", "slow", "l4", *asked)

        assert result.status == 0
        assert result.out.startswith("study `slow`: no configuration meets p99 <= 50 ms")
        assert "study `l4`: 9,000 requests/s within p99 <= 50 ms" in result.out
        assert "cheapest" not in result.out  # it is the only one


EXAMPLE = "for example: `--demand 1200`, in requests per second"
PRICES = "for example: `--price 0.53/h`, or `--price STUDY=0.53/h` for one of several"
BAD = [
    ("", "either `--demand` or `--demand-file` is needed", EXAMPLE),
    ("--demand 1 --demand-file a", "either `--demand` or `--demand-file` is needed", EXAMPLE),
    ("--demand 0", "`--demand` must be above 0 and up to 1e+12, but got 0", EXAMPLE),
    ("--demand -5", "`--demand` must be above 0 and up to 1e+12, but got -5", EXAMPLE),
    ("--demand nan", "`--demand` must be above 0 and up to 1e+12, but got nan", EXAMPLE),
    ("--demand inf", "`--demand` must be above 0 and up to 1e+12, but got inf", EXAMPLE),
    ("--demand 1e308", "`--demand` must be above 0 and up to 1e+12, but got 1e+308", EXAMPLE),
    ("--demand-file no.csv", "no.csv: cannot be read: No such file or directory", ""),
    ("--demand 9 --peak-factor 0.9", "`--peak-factor` must be from 1 to 1000, but got 0.9", "for example: `--peak-factor 1.5`"),  # noqa: E501
    ("--demand 9 --peak-factor 1e9", "`--peak-factor` must be from 1 to 1000, but got 1e+09", "for example: `--peak-factor 1.5`"),  # noqa: E501
    ("--demand 9 --headroom 0.2", "`--headroom` must be a percentage below 100, but got `0.2`", "for example: `--headroom 20%`"),  # noqa: E501
    ("--demand 9 --headroom 100%", "`--headroom` must be a percentage below 100, but got `100%`", "for example: `--headroom 20%`"),  # noqa: E501
    ("--demand 9 --price 5", "`--price` must be an amount above 0 for an hour, but got `5`", PRICES),  # noqa: E501
    ("--demand 9 --price 0/h", "`--price` must be an amount above 0 for an hour, but got `0/h`", PRICES),  # noqa: E501
    ("--demand 9 --price 1/h --price 2/h", "`--price` was given twice for the same", "leave one of them out"),  # noqa: E501
    ("--demand 9 --price x=1/h", "`--price` names the study `x`, which is not asked about", "known: `l4`"),  # noqa: E501
    ("l4 stricter --demand 9", "the studies have different latency budgets: p99 <= 50 ms, p99 <= 20 ms", "`--budget-ms 50 --percentile 99` asks all of them for the same"),  # noqa: E501
    ("l4 batches --demand 9", "the studies' requests carry different numbers of inferences: 1 in `l4`, 8 in `batches`", "ask about one study at a time"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("options", "message", "hint"), BAD)
def test_what_is_refused(tuner: Tuner, options: str, message: str, hint: str) -> None:
    """Options that cannot be used are said to be, with status 2."""
    assert tuner("capacity", *options.split()) == error(message, hint)


def test_one_budget_for_studies_of_several(tuner: Tuner) -> None:
    """They can be compared where the budget is given."""
    asked = ("--demand", "9000", "--budget-ms", "50", "--price", "1/h")

    assert tuner("capacity", "l4", "stricter", *asked).status == 0
