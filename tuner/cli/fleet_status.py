"""`tuner fleet status`: the hosts of a fleet, and what they do for which study."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tuner.cli.console import print_blocks, print_json
from tuner.cli.fleet import EXTRA, address
from tuner.cli.fleet_options import FleetStatusOptions
from tuner.cli.signature import needed
from tuner.errors import InputError
from tuner.report.hosts import group_lines, host_document, host_documents, hosts_table
from tuner.store.hosts import HostRecord, HostState
from tuner.store.jobs import job_of, jobs
from tuner.store.storage import Storage

if TYPE_CHECKING:
    from tuner.fleet.inventory import FoundHost

# States of hosts that a study has no more: what they are now, they say themselves.
_GONE = (HostState.LOST, HostState.DISMISSED)


def fleet_status(options: FleetStatusOptions) -> None:
    """Print those of a study, or all that the fleet has."""
    found = _of_study(options) if options.study else _of_fleet(options)
    if options.as_json:
        print_json(found)
    else:
        print_blocks([hosts_table(found), *group_lines(found)])


def _of_study(options: FleetStatusOptions) -> list[dict[str, Any]]:
    """As its driver has seen them last.

    Raises:
        InputError: It has none.
    """
    with Storage(options.db) as storage:
        study = storage.study(options.study, brief=True)
        job = job_of(storage, study.name)
        found = host_documents(storage, study, is_live=job is not None and job.is_live)
    if not found:
        raise InputError(
            f"study `{study.name}` has no fleet: one machine measured it",
            hint="leave out the name to see the hosts that there are now",
        )
    return list(found)


def _of_fleet(options: FleetStatusOptions) -> list[dict[str, Any]]:
    """Those that are there now; one that measures a study is not disturbed by being asked."""
    busy = _busy(options.db)
    inventory = needed("tuner.fleet.inventory:inventory", EXTRA)
    idle = inventory(address(options.fleet), without=busy.keys())
    found = busy | {each.name: _idle(each) for each in idle}
    return [found[name] for name in sorted(found)]


def _busy(database: str) -> dict[str, dict[str, Any]]:
    """The hosts of the studies that run, by name; none where there is no database."""
    try:
        with Storage(database) as storage:
            live = [name for name, job in jobs(storage).items() if job.is_live]
            return {
                each["host"]: each | {"study": name}
                for name in live
                for each in host_documents(storage, storage.study(name, brief=True), is_live=True)
                if each["state"] not in _GONE
            }
    except InputError:
        return {}


def _idle(found: "FoundHost") -> dict[str, Any]:
    hardware, refusal = found.facts and found.facts.hardware, found.refusal
    return host_document(
        HostRecord(
            name=found.name,
            kind=hardware.kind if hardware else "",
            hardware=hardware.as_record() if hardware else {},
            state=HostState.REFUSED if refusal else HostState.READY,
            why=f"{refusal.why}; {refusal.cure}" if refusal else "",
            changed_at=datetime.now(UTC),
        )
    )
