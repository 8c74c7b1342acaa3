"""`tuner plan` and `tuner spaces`: what may vary here, and what a search would do."""

from pathlib import Path

import pytest

from tests.command_line import Tuner, error
from tuner import hardware
from tuner.space import spec


class TestPlan:
    def test_starts_and_writes_nothing(self, tuner: Tuner, folder: Path) -> None:
        """A plan says what would be done, in sentences, and does nothing of it."""
        result = tuner("plan", "--budget-ms", "50", "--trials", "20", "--timeout", "1h")

        assert (result.status, result.err) == (0, "")
        lines = result.out.splitlines()
        assert "model encoder, latency budget p99 <= 50 ms" in lines
        assert "the baseline and up to 19 more trials, about" in result.out.replace("\n", " ")
        assert list(folder.iterdir()) == []

    def test_json(self, tuner: Tuner, folder: Path) -> None:
        """The plan as JSON: the space on this machine, its size, and the time."""
        result = tuner("plan", "--budget-ms", "50", "--trials", "20", "--timeout", "1h", "--json")

        assert (result.status, result.err) == (0, "")
        assert result.json["latency_budget"] == "p99 <= 50 ms"
        assert (result.json["model"], result.json["trials"]) == ("encoder", 20)
        assert result.json["finals"] == 12
        assert 0 < result.json["seconds"] <= 3600
        assert result.json["space"]["server"] == "triton"
        assert list(folder.iterdir()) == []

    def test_a_time_that_is_too_short(self, tuner: Tuner) -> None:
        """Answers of 20 s need minutes for a load point: the plan says so."""
        slow = ("plan", "--budget-ms", "50000")
        result = tuner(*slow, "--timeout", "10m")
        said = "a trial takes about 903 s; `--timeout 151m` is for 10 of them"
        assert said in " ".join(result.out.split())
        assert tuner(*slow, "--json").json["seconds"] == pytest.approx(9030)

    def test_takes_less_than_the_timeout(self, tuner: Tuner) -> None:
        """A plan never exceeds the time that was given."""
        assert (
            tuner("plan", "--budget-ms", "50", "--timeout", "30s", "--json").json["seconds"] == 30
        )

    def test_what_the_server_does_not_inherit(
        self, tuner: Tuner, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Variables of the person that a parameter sets are named; without any, nothing is."""
        (folder / "arenas.yaml").write_text(
            "server: triton\n"
            "parameters:\n"
            "  arenas: {type: int, low: 1, high: 2, default: 1, sets: {environment: [B_X, A_X]}}\n"
        )
        arguments = ("plan", "--budget-ms", "50", "--space", "arenas.yaml")
        text, content = tuner.both(*arguments)
        assert content["environment_withheld"] == []
        assert "not handed on" not in text
        for name in ("B_X", "A_X", "OMP_X"):
            monkeypatch.setenv(name, "secret")
        text, content = tuner.both(*arguments)
        assert content["environment_withheld"] == ["A_X", "B_X"]
        assert "not handed on to the server, as parameters set them: A_X, B_X\n" in text
        assert "secret" not in text
        elsewhere = tuner(*arguments, "--runner", "docker", "--image", "triton", "--json")
        assert elsewhere.json["environment_withheld"] == []


class TestSpaces:
    def test_list(self, tuner: Tuner) -> None:
        """The built-in spaces are listed with their files and descriptions."""
        text, rows = tuner.both("spaces", "list")

        assert [row["name"] for row in rows] == list(spec.built_in())
        assert all(name in text for name in spec.built_in())

    def test_show(self, tuner: Tuner) -> None:
        """A space is shown with the bounds of this machine, and every rule on its own line."""
        text, content = tuner.both("spaces", "show", "triton")

        parameters = {p["name"]: p for p in content["parameters"]}
        assert parameters["threads"]["default"] == hardware.detect().cores
        assert "environment" in parameters["threads"]["sets"]
        rules = [line for line in text.splitlines() if line.startswith("rule: ")]
        assert len(rules) == len(content["rules"])

    def test_show_how_each_value_is_proved(self, tuner: Tuner, folder: Path) -> None:
        """A proof has a line of its own; a parameter without one has no such line."""
        (folder / "mine.yaml").write_text(
            "server: triton\n"
            "parameters:\n"
            "  a: {type: boolean, default: false, sets: {flag: --a}, proof: 'accepted: a log'}\n"
            "  b: {type: boolean, default: false, sets: {flag: --b}}\n"
        )

        text, content = tuner.both("spaces", "show", "mine.yaml")

        lines = [line for line in text.splitlines() if line.startswith("proof of ")]
        assert lines == ["proof of a: accepted: a log"]
        assert [p["proof"] for p in content["parameters"]] == ["accepted: a log", ""]

    def test_check(self, tuner: Tuner, folder: Path) -> None:
        """A file that holds together is summed up; flags and reals are told as such."""
        (folder / "mine.yaml").write_text(
            "server: triton\n"
            "parameters:\n"
            "  share: {type: float, low: 0, high: 1, default: 0.5, sets: {flag: --share}}\n"
        )

        text, content = tuner.both("spaces", "check", "mine.yaml")

        assert text == (
            "mine.yaml: 1 parameters, 0 rules, uncountably many valid configurations on this "
            "machine\n"
        )
        [parameter] = content["parameters"]
        assert (content["size"], parameter["choices"]) == (None, None)
        assert parameter["sets"] == {"flag": "--share"}

    def test_a_space_too_large_to_count(self, tuner: Tuner, folder: Path) -> None:
        """A space that nobody counts is told by its assignments."""
        numbers = "{type: int, low: 1, high: 1000, default: 1, sets: {flag: --n}}"
        (folder / "big.yaml").write_text(
            f"server: triton\nparameters:\n  a: {numbers}\n  b: {numbers}\n"
        )

        assert "up to 1,000,000 valid configurations" in tuner("spaces", "check", "big.yaml").out

    @pytest.mark.parametrize("name", ["show", "check"])
    def test_unknown(self, tuner: Tuner, name: str) -> None:
        """A name that is neither built in nor a file lists what is built in."""
        assert tuner("spaces", name, "tritno") == error(
            "`tritno` is neither a built-in space nor a file",
            f"built in: {', '.join(spec.built_in())}",
        )
