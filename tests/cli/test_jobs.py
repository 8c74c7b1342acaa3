"""`tuner status`, `pause`, `continue`, `stop`, `attach`, and `resume` up to its server."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Tuner, error
from tests.refusals import refused
from tests.report import studies
from tests.store.owner import owner
from tests.store.test_storage import stored
from tuner.analysis.standings import standings
from tuner.cli import resume
from tuner.cli.job_options import ResumeOptions, RetryOptions
from tuner.errors import Reason
from tuner.goals import SearchBudget
from tuner.store.jobs import JobState, Wanted, job_of
from tuner.store.ownership import held
from tuner.store.storage import Storage

NIGHT = replace(
    studies.night(),
    name="night",
    options={"budget_ms": 50.0, "timeout": "2h", "model": "resnet50", "trials": 90},
)


@pytest.fixture(autouse=True)
def database(folder: Path) -> Path:
    """Two studies, of which nobody has run any."""
    return stored(folder / "studies.db", NIGHT, replace(studies.small_study(), name="day"))


def wanted(study: str = "night") -> Wanted:
    with Storage("studies.db") as storage:
        job = job_of(storage, study)
    assert job is not None
    return job.wanted


def ran(why: str = "", left_s: float = 7200.0, retry: Sequence[str] = (), **more: Any) -> None:
    """The study was run, in this process, and ended for this reason when so much was left."""
    limits = SearchBudget(timeout_s=9000.0, trials=90, **more)
    ends_at = datetime.now(UTC) + timedelta(seconds=left_s)

    def run() -> None:
        with (
            Storage("studies.db") as storage,
            held(storage, "night", limits=limits.as_record(), ends_at=ends_at, retry=retry),
        ):
            if why:
                raise RuntimeError(why)

    if why:
        with pytest.raises(RuntimeError):
            run()
    else:
        run()


class TestControl:
    def test_the_only_one_that_runs(self, tuner: Tuner) -> None:
        """It need not be named; what happens next is said."""
        with Storage("studies.db") as storage, held(storage, "night", limits={}):
            paused = tuner("pause")
            assert wanted() is Wanted.PAUSE
            going_on = tuner("continue")
            assert wanted() is Wanted.NOTHING
            stopped = tuner("stop", "night", "--now")
            assert wanted() is Wanted.STOP_NOW
            asked = tuner("stop", "--json")
            assert wanted() is Wanted.STOP

        point = "after the load point in progress"
        assert paused.out == f"study night pauses {point}; go on with `tuner continue night`\n"
        assert going_on.out == "study night goes on; look at it with `tuner status night`\n"
        assert stopped.out == f"study night ends {point}; look at it with `tuner report night`\n"
        assert asked.json.keys() == {"study", "asked", "owner"}
        assert (asked.json["study"], asked.json["asked"]) == ("night", "stop")

    @pytest.mark.parametrize("command", ["pause", "continue", "stop", "attach"])
    def test_nothing_runs(self, tuner: Tuner, command: str) -> None:
        assert tuner(command) == error("no study runs", "`tuner status` lists the studies")

    def test_several_run(self, tuner: Tuner, folder: Path) -> None:
        with (
            Storage("studies.db") as storage,
            held(storage, "night", limits={}),
            owner(folder / "studies.db", "day"),
        ):
            assert tuner("stop") == error(
                "several studies run; say which is meant", "they are: day, night"
            )

    def test_one_that_has_ended(self, tuner: Tuner) -> None:
        ran()
        assert tuner("pause", "night") == error(
            "study `night` does not run: it has ended",
            "`tuner resume night` goes on with it",
        )

    def test_one_that_was_killed(self, tuner: Tuner, folder: Path) -> None:
        with owner(folder / "studies.db", "night") as killed:
            killed.process.kill()
            killed.process.wait()
        assert tuner("stop", "night") == error(
            "study `night` does not run: its tuner was killed",
            "`tuner resume night` goes on with it",
        )

    def test_one_that_is_not_paused(self, tuner: Tuner) -> None:
        with Storage("studies.db") as storage, held(storage, "night", limits={}):
            assert tuner("continue", "night") == error(
                "study `night` is not paused", "`tuner status night` says what it does"
            )

    def test_an_end_that_was_asked_for_stays(self, tuner: Tuner) -> None:
        """To let a study go on that is not paused changes nothing of it."""
        with Storage("studies.db") as storage, held(storage, "night", limits={}):
            tuner("stop", "--now")
            assert tuner("continue").status == 2
            assert wanted() is Wanted.STOP_NOW


class TestStatus:
    def test_all_studies(self, tuner: Tuner) -> None:
        """A line for each; those that never ran in this version say so."""
        ran()
        table, listed = tuner("status"), tuner("status", "--json")

        assert {each["study"]: each["state"] for each in listed.json} == {
            "night": "ended",
            "day": "unknown",
        }
        assert table.status == 0
        assert "night" in table.out
        assert "ended" in table.out

    def test_one_that_runs(self, tuner: Tuner) -> None:
        with Storage("studies.db") as storage, held(storage, "night", limits={}):
            shown, found = tuner("status", "night"), tuner("status", "night", "--json")
        best = standings(NIGHT).winner
        assert best is not None

        assert found.json["state"] == "running"
        assert found.json["best"] == pytest.approx(best.throughput)
        assert found.json["trials"]["searched"] == len(NIGHT.searched)
        assert "best so far" in shown.out

    def test_failed_trials(self, tuner: Tuner) -> None:
        """Each with its reason, and the server's own words."""
        failed = [trial for trial in NIGHT.trials if trial.reason]
        found = tuner("status", "night", "--state", "failed", "--json")
        shown = tuner("status", "night", "--state", "failed")

        assert [each["trial"] for each in found.json] == [trial.number for trial in failed]
        assert [each["reason"] for each in found.json] == [t.reason for t in failed]
        for each in found.json:
            assert each["message"] in shown.out.replace("\n    ", " ")

    def test_no_trial_ended_so(self, tuner: Tuner) -> None:
        with Storage("studies.db", create=True) as storage:
            storage.create_study(studies.study(name="new"))
        shown = tuner("status", "new", "--state", "infeasible")
        assert shown.out == "no trial ended so\n"

    def test_watching_is_for_people(self, tuner: Tuner) -> None:
        assert tuner("status", "--watch", "--json") == error(
            "`--watch` shows a study as it runs", "leave out the other options"
        )

    def test_watching_what_has_ended(self, tuner: Tuner) -> None:
        """It is shown once."""
        ran()
        assert "ended" in tuner("status", "night", "--watch").out


class TestAttach:
    def test_what_has_ended(self, tuner: Tuner) -> None:
        """All that happened is told, then the result."""
        ran("a fault")
        shown = tuner("attach", "night")

        assert shown.status == 0
        assert "study night ended: RuntimeError" in shown.err
        assert "inf/s within p99" in shown.out

    def test_what_an_older_version_ran(self, tuner: Tuner) -> None:
        assert tuner("attach", "day") == error(
            "study `day` was run by a version that did not write down what it does",
            "`tuner report day` shows what it found",
        )


class TestResume:
    def asked(self, **more: Any) -> list[str]:
        return resume.words(ResumeOptions(study="night", **more))

    def test_what_it_was_asked_for(self) -> None:
        """Its options as they were, in the time that is left; what is said anew replaces them."""
        ran("a fault")
        assert self.asked() == [
            *("--budget-ms", "50", "--timeout", "7200s", "--model", "resnet50", "--trials", "90"),
            *("--study", "night", "--db", "studies.db", "--output", "reports"),
        ]
        anew = self.asked(timeout="10m", trials=120, detach=True)
        assert anew[2:8] == ["--timeout", "10m", "--model", "resnet50", "--trials", "120"]
        assert "--detach" in anew
        assert "--json" in self.asked(as_json=True)

    def test_until(self) -> None:
        """A time of the clock stays what it was, until it is over."""
        assert self.asked(until="07:00")[2:4] == ["--until", "07:00"]
        ends_at = datetime.now(UTC) + timedelta(hours=2)
        ran("a fault", ends_at=ends_at)
        assert self.asked()[2:4] == ["--until", f"{ends_at.astimezone():%H:%M}"]
        ran("a fault", ends_at=datetime.now(UTC) - timedelta(hours=2))
        with refused("the time of study `night` is over"):
            self.asked()

    def test_one_that_was_paused(self) -> None:
        """It has what the pause left it, however long that was, and however it ended then."""
        limits = SearchBudget(timeout_s=9000.0).as_record()
        ends_at = datetime.now(UTC) - timedelta(hours=5)

        def interrupted() -> None:
            with (
                Storage("studies.db") as storage,
                held(storage, "night", limits=limits, ends_at=ends_at) as hold,
            ):
                hold.goes(JobState.PAUSED, left_s=3600.0)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert self.asked()[2:4] == ["--timeout", "3600s"]

    def test_what_is_nothing_is_said_as_well(self, folder: Path) -> None:
        """No confirmations are other than as many as usual."""
        asked = {"budget_ms": 50.0, "confirmations": 0, "tolerance": 0.0123456789}
        stored(folder / "other.db", replace(NIGHT, options=asked))
        words = self.asked(timeout="1m", db="other.db")
        assert words[words.index("--confirmations") + 1] == "0"
        assert words[words.index("--tolerance") + 1] == "0.0123456789"

    def test_headers_are_given_again(self, tuner: Tuner, folder: Path) -> None:
        """Their values are not stored: without them, nothing begins."""
        asked = {"budget_ms": 50.0, "header": ["Authorization: ..."]}
        stored(folder / "other.db", replace(NIGHT, options=asked))
        assert tuner("resume", "night", "--db", "other.db") == error(
            "study `night` sends headers whose values are not stored: Authorization",
            "--header 'Authorization: VALUE'",
        )
        given = self.asked(header=["Authorization: Bearer x"], timeout="1m", db="other.db")
        assert given[given.index("--header") + 1] == "Authorization: Bearer x"

    def test_headers_are_given_in_a_file(self, tuner: Tuner, folder: Path) -> None:
        """So that they are in no list of processes; it has one in each line."""
        asked = {"budget_ms": 50.0, "header": ["Authorization: ..."]}
        stored(folder / "other.db", replace(NIGHT, options=asked))
        (folder / "headers").write_text("Authorization: Bearer x\n\nX-Other: 1\n")
        assert tuner("resume", "night", "--db", "other.db", "--header", "@headers") == error(
            "study `night` sends no header `X-Other`", "leave it out"
        )
        assert tuner("resume", "night", "--db", "other.db", "--header", "@nothing") == error(
            "`--header @nothing`: the file cannot be read", "it has a 'Name: value' in each line"
        )

    def test_what_an_older_version_began(self, tuner: Tuner) -> None:
        assert tuner("resume", "day") == error(
            "study `day` was begun by a version that did not store its options",
            "repeat its command, with `--study day`",
        )

    def test_one_that_has_ended(self, tuner: Tuner) -> None:
        with Storage("studies.db", create=True) as storage:
            storage.save_stopped("night", "all 60 trials were run")
        ran()
        assert tuner("resume", "night") == error(
            "study `night` has ended: all 60 trials were run",
            "more time goes on with it: `tuner resume night --timeout 10m`",
        )

    def test_the_failures_that_it_was_to_run_again(self) -> None:
        """One that was cut off goes on with them; one that came to its end has had its time."""
        ran("a fault", retry=["out_of_memory"])
        given = self.asked()
        assert given[given.index("--retry") + 1] == "out_of_memory"

        ran(retry=["out_of_memory"])
        assert "--retry" not in self.asked(timeout="10m")

    def test_one_whose_time_is_over(self, tuner: Tuner) -> None:
        ran("a fault", left_s=0.5)
        assert tuner("resume", "night") == error(
            "the time of study `night` is over",
            "give it more: `tuner resume night --timeout 10m`",
        )


class TestRetry:
    def test_what_is_run_again_is_said(self, tuner: Tuner) -> None:
        assert tuner("retry", "night") == error(
            "it is not said which trials are to be run again",
            "`--failed` for all that failed, or `--reason REASON`",
        )

    def test_none_of_them_failed_so(self, tuner: Tuner) -> None:
        assert tuner("retry", "night", "--reason", "start_timeout") == error(
            "no trial of study `night` failed so",
            "`tuner status night --state failed` lists those that failed",
        )

    def test_with_trials_for_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As many trials as there were, and those that failed again; each reason is handed on."""
        ran("a fault")
        begun: list[list[str]] = []
        monkeypatch.setattr(resume, "optimize_with", begun.append)
        failed = [trial for trial in NIGHT.searched if trial.reason]

        resume.retry(RetryOptions(study="night", failed=True))
        [words] = begun
        assert len(NIGHT.searched) + len(failed) < 90
        assert words[words.index("--trials") + 1] == "90"
        assert words.count("--retry") == len(Reason)

        resume.retry(RetryOptions(study="night", reason=[Reason.OUT_OF_MEMORY], trials=99))
        assert begun[1][begun[1].index("--trials") + 1] == "99"
        assert begun[1][begun[1].index("--retry") + 1] == "out_of_memory"
