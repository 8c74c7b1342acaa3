"""Requests and runs for the tests of the load engine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tuner.load.http1 import request_bytes
from tuner.load.profile import ClosedLoop, Endpoint, LoadProfile, LoadRun, Overload
from tuner.load.requests import RequestSet

# No run of these tests may take longer by this; slow machines are not what is tested.
GRACE_S = 5.0


def request(body: bytes) -> bytes:
    return request_bytes("/v2/models/m/infer", host="127.0.0.1", headers={}, body=body)


REQUESTS = RequestSet((request(b"{}"),))


def load_run(
    endpoint: Endpoint,
    profile: LoadProfile = ClosedLoop(2),  # noqa: B008 - a frozen value
    *,
    duration_s: float = 0.1,
    timeout_s: float = 2.0,
    drain_s: float = 0.3,
    max_connections: int = 1024,
    max_requests: int = 0,
    overload: Overload | None = None,
) -> LoadRun:
    return LoadRun(
        endpoint=endpoint,
        profile=profile,
        duration_s=duration_s,
        timeout_s=timeout_s,
        drain_s=drain_s,
        connections=4,
        max_connections=max_connections,
        max_requests=max_requests,
        overload=overload,
    )


@contextmanager
def ends_within(limit_s: float) -> Iterator[None]:
    began = time.perf_counter()
    yield
    spent_s = time.perf_counter() - began
    assert spent_s < limit_s + GRACE_S, f"took {spent_s:.1f} s"
