"""An HTTP client of a server under test, for as long as a `with` block."""

from collections.abc import Mapping
from typing import Self

import httpx


class HttpSession:
    """Closes its connections when the block ends.

    Proxy settings of the environment are not used: the servers under test are near. `timeout_s` is
    for each answer, in seconds; `headers` go with every request.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            timeout=timeout_s,
            headers=headers,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
