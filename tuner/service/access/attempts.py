"""How often somebody may fail to say who they are.

Nobody guesses 256 random bits, however often. The limit keeps the audit table small and the
machine free for what is measured: beyond it, a failure is answered and not written down.
Requests with a valid token are never refused because of the failures of others.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

LIMIT, LIMIT_OF_ALL = 10, 100
"""Failures of one address, and of all together, within `WINDOW_S`."""
WINDOW_S = 60.0
"""In seconds."""
# Addresses that are remembered; the one that failed the longest time ago is forgotten first.
_MOST = 10_000
_ALL = ""


class Attempts:
    """Counts failures in windows that begin with the first one. Not for several threads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """For how many seconds a failure from there is one too many; 0 if it is not."""
        return max(self._left_s(_network(address), LIMIT), self._left_s(_ALL, LIMIT_OF_ALL))

    def blocked_s(self, address: str) -> float:
        """For how many seconds nobody may log in from there; what others do does not count."""
        return self._left_s(_network(address), LIMIT)

    def failed(self, address: str) -> None:
        """Count a failure."""
        for key in (_network(address), _ALL):
            began, count = self._failures.pop(key, (self._clock(), 0))
            if self._clock() - began >= WINDOW_S:
                began, count = self._clock(), 0
            self._failures[key] = began, count + 1
        while len(self._failures) > _MOST:
            self._failures.popitem(last=False)

    def _left_s(self, key: str, limit: int) -> float:
        began, count = self._failures.get(key, (0.0, 0))
        return max(0.0, began + WINDOW_S - self._clock()) if count >= limit else 0.0


def _network(address: str) -> str:
    """What one person has: an address, or with IPv6 a network of 64 bits."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address or "?"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
