"""A server of one's own, as a job has it: its file lies beside the space file, and travels."""

import sys
from pathlib import Path

from tests.end_to_end.quick_server import AT_ONCE
from tuner.goals import LatencyBudget
from tuner.study.job import Job, PreparedJob, prepare

SPACE = """
server: command
serve:
  command: [{python}, server.py, "{{port:http}}", "{{{{ n }}}}"]
  reads: [words]
  request: {{path: /, method: POST, body_files: [words/body.txt]}}
parameters:
  n: {{type: int, low: 1, high: 9, default: 1, sets: {{template: n}}}}
"""
# With this as `n` the server ends at once.
FAILS = 9
_SERVER = f"import sys\nif sys.argv[2] == '{FAILS}':\n    sys.exit('nine is too many')\n{AT_ONCE}"


def job_in(folder: Path) -> Job:
    """One with a new server in `folder`."""
    (folder / "words").mkdir(parents=True)
    (folder / "words" / "body.txt").write_text("a body")
    (folder / "server.py").write_text(_SERVER)
    (folder / "mine.yaml").write_text(SPACE.format(python=sys.executable))
    return Job(
        budget=LatencyBudget(percentile=99, limit_s=0.2),
        space_file=folder / "mine.yaml",
        database="sqlite:///secret.db",
    )


def prepared_in(folder: Path) -> PreparedJob:
    return prepare(job_in(folder))
