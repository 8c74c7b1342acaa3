"""A host that measures behind all other programs is told of."""

import os

import pytest

from tuner.fleet import priority


def test_a_host_whose_measurements_wait_for_others() -> None:
    """Ray starts what it runs at nice level 15, and only root can take that back."""
    found = priority.check(15)

    assert (found.name, found.found, found.fine) == ("priority", "nice level 15", False)
    assert found.cure == "start Ray there with RAY_worker_niceness=0, or as root"
    assert priority.note(15) == (
        "measures at nice level 15: whatever else runs there goes first, and measurements wait "
        "for it; start Ray there with RAY_worker_niceness=0, or as root"
    )
    assert priority.check(0).fine
    assert priority.note(0) == ""


def test_a_process_that_may_not_keeps_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which that is."""

    def forbidden(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden)
    monkeypatch.setattr(os, "getpriority", lambda *_: 15)

    assert priority.restored() == 15
