"""Does a study on a fleet survive the loss of hosts? Real Ray nodes, a real Triton on each.

    python -m benchmarks.fleet_chaos --studies 20 --json FILE

All configurations of a device that sleeps are measured on three hosts, each once; what each
carries is known on paper. At a random moment a random host is struck: switched off, cut off, its
Ray killed, and so on. It comes back later. Then the study must end by itself with as good a
configuration as an undisturbed one, with no trial missing or twice, and with nothing left on any
machine. Needs root.
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.chaos import wait_until
from benchmarks.fleet_hosts import TUNER, Fleet, Host, fleet
from benchmarks.fleet_strikes import STRIKES
from benchmarks.fleet_study import Study
from benchmarks.known_devices import Device
from benchmarks.options import count
from benchmarks.tables import machine, table
from tuner.analysis.standings import standings
from tuner.errors import TunerError
from tuner.records import StudyRecord

# It carries some 350 inferences a second, so that three are measured on two cores.
DEVICE = Device(fixed_s=0.02, each_s=0.0025, rows=8, slots=2, limit_s=0.1)
# With the model's own batch of 64 these are eight configurations; all but one carry less than 70 %
# of the best one.
_SPACE = """
extends: triton

parameters:
  instance_count: {high: 2}
  max_batch_size: {type: categorical, choices: [4, 8], default: 8}
  max_queue_delay_microseconds: null
  preferred_batch_size: null
  threads: null
"""
_CONFIGURATIONS = 8
_HOSTS = 3
# When a host is struck, after the first trial, in seconds.
_STRIKES_S = (1.0, 40.0)
# What a recommendation must carry of the undisturbed study's.
_GOOD = 0.95
_FIRST_S = 180.0
# How much later than its time a study may end.
_LATE_S = 120.0
# What has ended may take so long to be gone.
_GONE_S = 15.0


@dataclass(frozen=True)
class Outcome:
    """One study, struck once or not at all; `wrong` is empty where all went well.

    `stopped` is why its search ended, as it says itself.
    """

    strike: str
    host: str
    after_s: float
    took_s: float
    trials: int
    attempts: int
    lost: int
    back: bool
    recommended: str
    capacity: float
    stopped: str
    wrong: Sequence[str]


def outcome(made: Fleet, strike: str, timeout_s: int, chance: random.Random) -> Outcome:
    """A study that is struck at a random moment, to its end."""
    with tempfile.TemporaryDirectory(dir=made.folder) as name:
        study = _study(Path(name), timeout_s)
        driver = made.begin(study.command(), study.folder / "tuner.log")
        _await_trial(study, driver)
        host, after_s = chance.choice(made.hosts), chance.uniform(*_STRIKES_S)
        struck_at = datetime.now(UTC)
        if strike:
            time.sleep(after_s)
            struck_at = datetime.now(UTC)
            STRIKES[strike](made, host)
        wrong = _ended(made, driver, timeout_s + _LATE_S)
        record = study.record()
        if wrong:
            wrong.append((study.folder / "tuner.log").read_text()[-500:])
        wrong += [*_wrong(record), *_left(made)]
        return _outcome(record, strike, host, struck_at, wrong)


def _study(folder: Path, timeout_s: int) -> Study:
    DEVICE.write(folder / "models" / "device")
    (folder / "space.yaml").write_text(_SPACE)
    options = ["--model-repository", str(folder / "models"), "--fleet", "auto"]
    options += ["--space", str(folder / "space.yaml"), "--sampler", "exhaustive"]
    options += ["--budget-ms", f"{1e3 * DEVICE.limit_s:g}", "--timeout", f"{timeout_s}s"]
    return Study(folder, "chaos", [*options, "--finalists", "2", "--confirmations", "1"])


def _await_trial(study: Study, driver: "subprocess.Popen[bytes]") -> None:
    def there() -> bool:
        if driver.poll() is not None:
            raise RuntimeError((study.folder / "tuner.log").read_text())
        return bool(_trials(study))

    wait_until(there, "the first trial", _FIRST_S)


def _ended(made: Fleet, driver: "subprocess.Popen[bytes]", timeout_s: float) -> list[str]:
    """What is wrong with how the driver ended."""
    try:
        status = driver.wait(timeout_s)
    except subprocess.TimeoutExpired:
        made.head.kill(str(TUNER))
        driver.wait()
        return ["it did not end by itself"]
    return [f"it ended with status {status}"] if status else []


def _trials(study: Study) -> Sequence[object]:
    try:
        return study.record().trials
    except TunerError:  # no study yet
        return ()


def _outcome(
    record: StudyRecord, strike: str, host: Host, struck_at: datetime, wrong: Sequence[str]
) -> Outcome:
    winner = standings(record).winner
    capacity = DEVICE.capacity(winner.configuration) if winner else 0.0
    attempts = max(each.attempt for each in record.trials)
    ends = [each.finished_at for each in record.trials]
    return Outcome(
        strike=strike,
        host=host.name,
        after_s=round((struck_at - record.trials[0].finished_at).total_seconds(), 1),
        took_s=round((max(ends) - record.created_at).total_seconds(), 1),
        trials=len(record.trials),
        attempts=attempts,
        lost=attempts - len(record.trials),
        back=any(t.host == host.name and t.finished_at > struck_at for t in record.trials),
        recommended=str(winner.configuration) if winner else "nothing",
        capacity=capacity,
        stopped=record.stopped,
        wrong=wrong,
    )


def _wrong(record: StudyRecord) -> list[str]:
    """What is there twice and may be there once; and whether a configuration was not tried."""
    searched = [each for each in record.trials if each.proposal is not None]
    kinds: dict[str, list[object]] = {
        "trial": [each.number for each in record.trials],
        "attempt": [each.attempt for each in record.trials],
        "configuration": [str(each.configuration) for each in searched],
    }
    twice = [
        f"{kind} {value} stands there {times} times"
        for kind, values in kinds.items()
        for value, times in Counter(values).items()
        if times > 1
    ]
    missing = _CONFIGURATIONS - len(searched)
    untried = f"{missing} configurations were not tried: {record.stopped}"
    return [*twice, *([untried] if missing > 0 else [])]


def _left(made: Fleet) -> list[str]:
    """What is still there of the study some seconds after its end, on any machine."""
    machines = (made.head, *made.hosts)
    deadline = time.monotonic() + _GONE_S
    while True:
        left = [f"{each.name}: {what}" for each in machines for what in each.left()]
        left += [f"{each.name}: {what}" for each in machines for what in each.folders()]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)


def report(struck: Sequence[Outcome], undisturbed: Outcome) -> str:
    rows = []
    for strike in dict.fromkeys(each.strike for each in struck):
        those = [each for each in struck if each.strike == strike]
        shares = [each.capacity / undisturbed.capacity for each in those]
        rows.append(
            [
                strike,
                str(len(those)),
                str(sum(not each.wrong for each in those)),
                str(sum(each.lost for each in those)),
                str(sum(each.back for each in those)),
                f"{min(shares):.2f}",
                "; ".join(sorted({what for each in those for what in each.wrong})),
            ]
        )
    headings = ["strike", "studies", "all well", "attempts lost", "host measured again"]
    headings += ["least share of the undisturbed", "what was wrong"]
    good = sum(each.capacity >= _GOOD * undisturbed.capacity for each in struck)
    well = sum(not each.wrong for each in struck)
    return (
        f"{machine()}.\n\n{table(headings, rows)}\n\n"
        f"{well} of {len(struck)} studies: it ended by itself, no trial missing or twice, "
        f"nothing left on any machine. {good} of {len(struck)} recommend what carries at least "
        f"{_GOOD:.0%} of the undisturbed study's ({undisturbed.recommended})."
    )


def outcomes(studies: int, timeout_s: int, seed: int) -> Iterator[Outcome]:
    """Of one study without a strike, then of so many, each kind as often as the others."""
    chance = random.Random(seed)  # noqa: S311 - a benchmark, not a secret
    order: list[str] = []
    while len(order) < studies:
        order += chance.sample(list(STRIKES), len(STRIKES))
    with fleet(_HOSTS) as made:
        for strike in ("", *order[:studies]):
            yield outcome(made, strike, timeout_s, chance)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=count, default=20)
    parser.add_argument("--timeout-s", type=count, default=150, help="of each study")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write everything there")
    options = parser.parse_args()
    found: list[Outcome] = []
    for each in outcomes(options.studies, options.timeout_s, options.seed):
        print(f"{len(found)}: {each}", flush=True)
        found.append(each)
        if options.json:
            options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    print("\n" + report(found[1:], found[0]))


if __name__ == "__main__":
    main()
