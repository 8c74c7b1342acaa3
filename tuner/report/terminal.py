"""Tables for the terminal, and the progress of a study while it runs."""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from tuner.analysis.effects import Effects
from tuner.analysis.hosts import is_of_fleet
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import Standing, Standings
from tuner.goals import LatencyBudget
from tuner.records import PointRecord, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report import (
    digest,
    effects_text,
    figures,
    findings,
    formats,
    host_speeds,
    rates,
    search_findings,
    token_text,
)
from tuner.report.columns import text_table, unbroken
from tuner.space.space import Configuration

_TRIAL_LINE = "{:>5}  {:<8}  {:<29}  {:>8}  {:>8}  {:>11}"
_EFFECT_LINE = "  {:<13}  {:<22}  {:<16}  {:<11}  {:>8}"
# A clock needs no more, and the server under test wants the processor.
_REFRESH_PER_S = 2
PHASES = {**figures.STEPS, "apply": "start or reload the server", "warm-up": "warm-up"}


def result_table(study: StudyRecord, standings: Standings) -> RenderableType:
    """The best configuration beside the server's defaults, with what must be said of them."""
    sides = findings.sides(standings)
    sentences = [Text(findings.headline(study, standings), style="bold")]
    said = (*findings.remarks(study, standings), *search_findings.about_search(study))
    said += search_findings.about_crashes(study)
    remarks = [Text(sentence) for sentence in said]
    if not sides:
        return Group(*sentences, *remarks)
    columns = [Column(title, justify="right", overflow="fold") for title in sides]
    shown = list(sides.values())
    table = text_table(_parameter_rows(shown), Column("", no_wrap=True), *columns)
    table.add_section()
    for row in _result_rows(study, standings, shown):
        table.add_row(*map(Text, row))
    return Group(*sentences, unbroken(table), *remarks)


def effects_tables(
    study: StudyRecord, standings: Standings, found: Effects
) -> list[RenderableType]:
    """Which parameters mattered: the decided effects, the others in a sentence; none, nothing."""
    if not found.effects:
        return []
    title = Text(effects_text.title(found), style="bold")
    lines = map(Text, effects_text.remarks_on_decided(study, standings, found))
    rows = effects_text.decided_rows(found)
    if not rows:
        return [Group(title, *lines)]
    columns = [Column(name, overflow="fold") for name in rows[0]]
    return [Group(title, text_table([row.values() for row in rows], *columns), *lines)]


def all_effects(found: Effects) -> RenderableType:
    """Every effect, under the name of its parameter."""
    columns = ("", "ratio (95 % interval)", "verdict", "pairs", "measured")
    lines: list[RenderableType] = [Text(_EFFECT_LINE.format(*columns), style="bold")]
    for title, of_parameter in itertools.groupby(found.effects, effects_text.parameter):
        lines.append(Text(title))
        for each in of_parameter:
            lines.append(Text(_EFFECT_LINE.format(*effects_text.cells(each))))
            if each.why:
                lines.append(Padding(Text(each.why, style="dim"), (0, 0, 0, 4)))
    return Group(*lines)


def trials_table(study: StudyRecord) -> RenderableType:
    """The trials with, on a line of its own, what each changes about the server's defaults."""
    title = Text(findings.about_trials(study), style="bold")
    if not study.trials:
        return title
    unit = RateUnit.of(study).short
    columns = ("trial", "for", "ended as", unit, "unloaded", "time")
    lines: list[RenderableType] = [
        Text(_TRIAL_LINE.format(*columns), style="bold", overflow="ignore")
    ]
    baseline = study.baseline.configuration if study.baseline else None
    trials = digest.shown(study)
    for trial in trials:
        line = _TRIAL_LINE.format(
            trial.number,
            trial.purpose.value,
            findings.ended(trial),
            findings.capacity(trial),
            token_text.judged(study.budget, trial.unloaded_s),
            formats.duration(figures.total_s(trial)),
        )
        where = f"on {trial.host}: " if trial.host else ""
        changes = where + formats.short(trial.configuration, baseline)
        configuration = Text(changes, style="dim")
        lines += [Text(line, overflow="ignore"), Padding(configuration, (0, 0, 0, 7))]
    left_out = digest.about_shown(study, trials)
    as_measured = host_speeds.AS_MEASURED if is_of_fleet(study.trials) else ""
    said = (token_text.about_judged(study.budget), as_measured, left_out)
    remarks = [Text(each) for each in said if each]
    return Group(title, Text(), *lines, *remarks)


def time_table(study: StudyRecord) -> RenderableType:
    """Where the time of the trials went."""
    title = Text(findings.about_time(study), style="bold")
    if not study.trials:
        return title
    rows = [
        (step.name, formats.duration(step.spent_s), formats.per_cent(step.share))
        for step in figures.time_by_step(study)
    ]
    numbers = [Column(name, justify="right") for name in ("time", "share")]
    reloads = findings.about_reloads(study)
    return Group(
        title, text_table(rows, "step", *numbers), *([Text(f"{reloads}.")] if reloads else [])
    )


class LiveProgress:
    """Implements Observer: tells a person how the study goes on, for as long as it is entered.

    On a terminal it is a small table with a running clock; elsewhere one line per finished trial.
    `unit` is that of throughputs; `deadline_s` is a moment of the monotonic clock; `trials` is how
    many are planned. Where it `waits`, that moment comes later by what the study is paused.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        limit_latency: LatencyBudget,
        unit: str,
        deadline_s: float | None = None,
        trials: int,
        waits: bool = True,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._budget = limit_latency
        self._unit = unit
        self._deadline_s = deadline_s
        self._trials = trials
        self._waits = waits
        self._paused_s = math.nan  # since when
        self._live: Live | None = None
        self._baseline: Configuration | None = None
        self._best: TrialRecord | None = None
        self._current = ("", "")
        self._phase = ""
        self._done = 0
        self._spent_s = 0.0
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                self, console=self._console, refresh_per_second=_REFRESH_PER_S, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def trial_begins(self, number: int, purpose: Purpose, configuration: Configuration) -> None:
        if purpose is Purpose.BASELINE:
            self._baseline = configuration
        self._began_s = time.monotonic()
        self._phase = ""
        self._current = (
            f"{number} ({purpose.value})",
            formats.short(configuration, self._baseline),
        )

    def began_ago(self, seconds: float) -> None:
        """The trial in progress began that long ago."""
        self._began_s = time.monotonic() - seconds

    def phase_begins(self, phase: str) -> None:
        self._phase = PHASES.get(phase, phase)
        if phase == "paused":
            self._paused_s = time.monotonic()
        elif not math.isnan(self._paused_s):
            if self._waits and self._deadline_s is not None:
                self._deadline_s += time.monotonic() - self._paused_s
            self._paused_s = math.nan

    def point_ends(self, point: PointRecord) -> None:
        """The phase says enough."""

    def trial_ends(self, record: TrialRecord) -> None:
        self._done += 1
        self._spent_s += figures.total_s(record)
        beats = self._best is None or record.throughput > self._best.throughput
        if record.state is TrialState.FEASIBLE and not record.proof and beats:
            self._best = record
        if self._live is None:
            self._console.print(self._line(record), markup=False, highlight=False, soft_wrap=True)

    def __rich__(self) -> RenderableType:
        table = _grid()
        table.add_row("best so far", Text(self._best_so_far()))
        table.add_row("done", Text(f"{self._done} of {self._planned} trials{self._time_left()}"))
        bar = ProgressBar(total=self._planned, completed=self._done, width=60)
        return Group(self._doing(), table, bar)

    def _doing(self) -> RenderableType:
        number, configuration = self._current
        table = _grid()
        spent = formats.duration(time.monotonic() - self._began_s)
        table.add_row("trial", Text(f"{number}, {spent} so far" if number else "none yet"))
        table.add_row("configuration", Text(configuration))
        table.add_row("phase", Text(self._phase))
        return table

    @property
    def _planned(self) -> int:
        return max(self._trials, self._done)

    @property
    def _at_once(self) -> int:
        """How many trials are under way."""
        return 1

    def _best_so_far(self) -> str:
        if self._best is None:
            return f"nothing within {self._budget} yet"
        best = rates.of_trials(self._best.throughput, self._unit, [self._best])
        found = f"{best} within {self._budget}"
        return f"{found} (trial {self._best.number})"

    def _time_left(self) -> str:
        """The sooner of the deadline and what the trials so far lead one to expect."""
        left_s = [math.inf]
        if self._done:
            each_s = self._spent_s / self._done / self._at_once
            left_s.append((self._planned - self._done) * each_s)
        if self._deadline_s is not None:
            left_s.append(max(0.0, self._deadline_s - time.monotonic()))
        soonest_s = min(left_s)
        return "" if math.isinf(soonest_s) else f", about {formats.duration(soonest_s)} left"

    def _line(self, record: TrialRecord) -> str:
        found = findings.capacity(record)
        carries = f", {found} {self._unit}" if found != formats.NOTHING else ""
        host = f" on {record.host}" if record.host else ""
        return (
            f"trial {record.number} ({record.purpose.value}){host}: "
            f"{findings.ended(record)}{carries}, "
            f"{formats.duration(figures.total_s(record))}: "
            f"{formats.short(record.configuration, self._baseline)}"
        )


def _grid() -> Table:
    """Names of one width, and what is said of each."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, width=13)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _parameter_rows(sides: Sequence[Standing]) -> list[list[str]]:
    configurations = [side.configuration for side in sides]
    names = formats.changed(configurations[-1], configurations[0])
    return [[name, *(formats.value(c.get(name)) for c in configurations)] for name in names]


def _result_rows(
    study: StudyRecord, standings: Standings, sides: Sequence[Standing]
) -> list[list[str]]:
    throughputs = [findings.carried(side) for side in sides]
    unit = RateUnit.of(study).short
    rows = [[f"{unit} within {study.budget}", *throughputs]]
    if standings.gain and len(sides) > 1:
        rows.append(["gain (95 % interval)", "", formats.gain(standings.gain)])
    generated = token_text.rows(study, [side.trial for side in sides])
    rows += map(list, generated or _latency_rows(study, sides))
    rows.append([f"{unit} at saturation", *(formats.rate(s.trial.saturation) for s in sides)])
    rows.append(["rests on", *(findings.grounds(side) for side in sides)])
    return rows


def _latency_rows(study: StudyRecord, sides: Sequence[Standing]) -> list[list[str]]:
    points = [side.trial.best_point(study.budget) for side in sides]
    rows = []
    for q in figures.percentiles(study.budget):
        latencies = [formats.latency(p.percentile(q) if p else math.nan) for p in points]
        rows.append([f"p{q:g} at the highest load", *latencies])
    if any(p and p.first_response for p in points):
        for q in figures.percentiles(study.budget):
            firsts = [_first_response(point, q) for point in points]
            rows.append([f"p{q:g} to the first response", *firsts])
    return rows


def _first_response(point: PointRecord | None, q: float) -> str:
    firsts = point.first_response if point else None
    return formats.latency(firsts.percentile(q)) if firsts else formats.NOTHING
