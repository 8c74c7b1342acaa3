"""What `--fleet` and `--group` say, made into the hosts that measure a study."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tuner.cli.console import note
from tuner.cli.optimize_options import PlanOptions
from tuner.cli.runner_options import RunnerChoice
from tuner.cli.signature import needed
from tuner.cli.values import check_needed
from tuner.errors import InputError, unfit
from tuner.fleet.groups import chosen
from tuner.fleet.job import run_on_fleet
from tuner.fleet.log import FleetObserver
from tuner.hardware import Hardware
from tuner.records import StudyRecord
from tuner.study.job import Job, PreparedJob, prepare

# What brings Ray.
EXTRA = "fleet"
# Ray's own words: the cluster of this machine (or of RAY_ADDRESS), or a head's port for clients.
_ADDRESS = re.compile(r"auto|ray://([\w.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", re.ASCII)
_HINT = "for example: `--fleet auto` on a machine of the Ray cluster, or `ray://HOST:10001`"


def fleet_of(options: PlanOptions) -> str:
    """The address of the hosts; empty where this machine measures.

    Raises:
        InputError: It cannot be used, or means nothing to this runner.
    """
    if not options.fleet:
        check_needed(options, "group", "--fleet")
        return ""
    if options.runner is RunnerChoice.REMOTE:
        raise InputError(
            "`--fleet` means nothing to `--runner remote`: that server runs already, and is one",
            hint="leave one of them out",
        )
    return address(options.fleet)


def address(text: str) -> str:
    """That of a fleet.

    Raises:
        InputError: It is none.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2] or 1) < 1 << 16:
        raise unfit("--fleet", "`auto` or ray://HOST:PORT", text, _HINT)
    return text


def fit_hosts(where: str) -> Mapping[str, Hardware]:
    """As `tuner.fleet.inventory` has it; Ray is loaded for that.

    Raises:
        TunerError: Ray is not installed, or as it says.
    """
    found: Mapping[str, Hardware] = needed("tuner.fleet.inventory:fit_hosts", EXTRA)(where)
    return found


def run_on_hosts(
    prepared: PreparedJob, observer: FleetObserver, say: Callable[[str], None]
) -> StudyRecord:
    """Run the study on the hosts of its fleet; nothing of it runs there afterwards.

    Raises:
        TunerError: As `ray_crew` and `run_on_fleet` say.
    """
    ray_crew = needed("tuner.fleet.ray_crew:ray_crew", EXTRA)
    with ray_crew(prepared, prepared.job.fleet, say) as crew:
        return run_on_fleet(prepared, crew, observer, say)


def prepared_for_hosts(job: Job) -> PreparedJob:
    """The job as it can be run: where a fleet measures, for the hardware of its hosts.

    Raises:
        TunerError: It cannot be: as `prepare` and `fit_hosts` say, or the fleet has no such group.
    """
    return prepare(_with_hosts(job) if job.fleet else job)


def _with_hosts(job: Job) -> Job:
    hosts = fit_hosts(job.fleet)
    group = chosen(hosts, job.group)
    note(f"fleet {job.fleet}: {', '.join(group.hosts)} (group {group.kind}) measure")
    options = {**job.options, "group": group.kind}
    return replace(job, group=group.kind, hardware=group.hardware, options=options)
