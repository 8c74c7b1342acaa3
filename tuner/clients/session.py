"""An HTTP client of a server under test, for as long as a `with` block."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

import httpx

from tuner.errors import ServerError, ServerTimeoutError
from tuner.protocols import prometheus
from tuner.protocols.prometheus import MetricsPage

_HINT = "look into its log"
# Characters of an answer that is no JSON.
_LONGEST_TEXT = 400


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


class NamedSession(HttpSession):
    """What a server is asked by name, which errors call it by; it says what is wrong in JSON.

    `server` is that name, and `error_key` where the JSON has what is wrong.
    """

    server: ClassVar[str]
    error_key: ClassVar[str]

    def _send(self, method: str, url: str, **content: Any) -> httpx.Response:
        """The server's answer.

        Raises:
            ServerTimeoutError: There is none in time.
            ServerError: Or none at all.
        """
        asked = f"{self.server} did not answer {method} {url}"
        try:
            return self._http.request(method, url, **content)
        except httpx.TimeoutException as error:
            raise ServerTimeoutError(f"{asked} in time", hint=_HINT) from error
        except httpx.HTTPError as error:
            raise ServerError(f"{asked}: {error}", hint=_HINT) from error

    def _ask(self, method: str, url: str, **content: Any) -> httpx.Response:
        """The server's answer, if it says that all is well.

        Raises:
            ServerError: It says that something is not, and what; or see `_send`.
        """
        return self._checked(self._send(method, url, **content))

    def _page(self, url: str) -> MetricsPage:
        """The metrics at `url`; ServerError as in `_ask`, or where it is no page of metrics."""
        response = self._ask("GET", url)
        try:
            return prometheus.parse(response.text)
        except ValueError as error:
            raise ServerError(f"{url} is no page of metrics: {error}") from None

    def _complaint(self, document: Any) -> str:
        """What is wrong, out of the JSON that says so; raises KeyError or TypeError elsewhere."""
        return str(document[self.error_key])

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success:
            return response
        said = response.text.strip()[:_LONGEST_TEXT] or response.reason_phrase
        with suppress(ValueError, KeyError, TypeError):
            said = self._complaint(response.json())
        request = response.request
        raise ServerError(
            f"{self.server} answered {response.status_code} to {request.method} "
            f"{request.url.path}: {said}"
        )


def total(page: MetricsPage, name: str, **labels: str) -> float | None:
    """The sum over all series of this name with these labels; None if there is none."""
    found = [
        value
        for series, value in page.values.items()
        if series.name == name
        and all(series.label(label) == wanted for label, wanted in labels.items())
    ]
    return sum(found) if found else None
