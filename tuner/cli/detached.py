"""A command that goes on in the background: in a session of its own, its output in a file."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tuner.cli.console import note, print_json, print_text
from tuner.cli.suggested import command
from tuner.errors import TunerError
from tuner.store.jobs import jobs
from tuner.store.storage import Storage

LOG = "tuner.log"
# Tells the process in the background that it is the one, and where its output goes.
_VARIABLE = "TUNER_DETACHED_LOG"
_POLL_S = 0.1
# Of its output, the last lines are shown if it ends at once.
_LINES = 20


@cache
def own_log() -> str:
    """The file with this process's output, if it is the one in the background; else empty."""
    return os.environ.pop(_VARIABLE, "")  # servers do not inherit it


def detach(study: str, database: str, log: Path, *, as_json: bool) -> None:
    """Run this command again in the background, and return once it has the study.

    Raises:
        TunerError: It ended before that, or its log cannot be written.
    """
    arguments = sys.argv[1:]
    if arguments[0] == "optimize":  # the study has its name now, whatever the clock shows then
        arguments[1:1] = ["--study", study]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        begins = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tuner", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {_VARIABLE: str(log.absolute())},
            )
    except OSError as error:
        raise TunerError(
            f"{log}: cannot be written: {error.strerror}", hint="choose another `--output FOLDER`"
        ) from None
    found = _held_by(process, database)
    if found is None and process.returncode != 0:
        said = log.read_bytes()[begins:].decode(errors="replace").splitlines()[-_LINES:]
        raise TunerError(
            f"the command ended at once, with status {process.returncode}:\n" + "\n".join(said)
        )
    study, who = found or (study, None)
    if as_json:
        print_json({"study": study, "owner": who, "log": str(log)})
        return
    who = f"runs in the background ({who})" if who else "has ended"
    print_text(f"study {study} {who}")
    print_text(f"its output: {log}")
    note(f"look at it: {command('status', study, database, '--watch')}")
    note(f"end it:     {command('stop', study, database)}")


def _held_by(process: "subprocess.Popen[bytes]", database: str) -> tuple[str, str] | None:
    """The study that the process has, once it has one, and how it is called; None if it ended."""
    try:
        while process.poll() is None:
            time.sleep(_POLL_S)
            with suppress(TunerError), Storage(database) as storage:  # it may not be there yet
                for study, job in jobs(storage).items():
                    if f"/{process.pid}/" in job.owner and job.is_live:
                        return study, job.who
    except KeyboardInterrupt:
        process.terminate()  # as Ctrl-C would have ended it here
        process.wait()
        raise
    return None
