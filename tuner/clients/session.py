"""An HTTP client of a server under test, for as long as a `with` block."""

from types import TracebackType
from typing import Self

import httpx


class HttpSession:
    """Closes its connections when the block ends.

    Proxy settings of the environment are not used: the servers under test are near. `timeout_s` is
    for each answer, in seconds.
    """

    def __init__(self, *, base_url: str = "", timeout_s: float) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()
