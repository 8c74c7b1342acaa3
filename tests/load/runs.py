"""Requests and runs for the tests of the load engine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.load.server import Behaviour, Server, serving
from tuner.load.client import LoadEngine
from tuner.load.http1 import request_bytes
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, LoadRun
from tuner.load.requests import RequestSet

# No run of these tests may take longer by this; slow machines are not what is tested.
GRACE_S = 5.0


def request(body: bytes) -> bytes:
    return request_bytes("/v2/models/m/infer", host="127.0.0.1", headers={}, body=body)


REQUESTS = RequestSet((request(b"{}"),))


def load_run(
    endpoint: Endpoint,
    profile: LoadProfile = ClosedLoop(2),  # noqa: B008 - a frozen value
    **options: Any,
) -> LoadRun:
    """A short run; `options` are those of LoadRun."""
    short = LoadRun(
        endpoint=endpoint,
        profile=profile,
        duration_s=0.1,
        timeout_s=2.0,
        drain_s=0.3,
        connections=4,
    )
    return replace(short, **options)


def observe(
    engine: LoadEngine,
    behaviour: Behaviour,
    profile: LoadProfile = ClosedLoop(2),  # noqa: B008 - a frozen value
    **options: Any,
) -> tuple[Measurement, Server]:
    """What the engine saw of a server that behaves so, and what the server saw of the run."""
    with serving(behaviour) as server:
        return engine.measure(load_run(server.endpoint, profile, **options)), server


@contextmanager
def ends_within(limit_s: float) -> Iterator[None]:
    began = time.perf_counter()
    yield
    spent_s = time.perf_counter() - began
    assert spent_s < limit_s + GRACE_S, f"took {spent_s:.1f} s"
