"""A client of the REST interface of `tuner serve`: jobs and studies of another machine."""

import ipaddress
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self
from urllib.parse import quote

import httpx

from tuner.errors import InputError, NothingFeasibleError, TunerError, quoted

PREFIX = "/api/v1"
IDEMPOTENCY_KEY = "Idempotency-Key"
# The event that says where a job of the queue stands now; others are those of its study.
JOB_CHANGED = "job_changed"
# An answer may take this long, in seconds: a plan is made by a process of its own.
_ANSWER_S = 60.0
_CONNECT_S = 10.0
# A model that was sent is unpacked and read before there is an answer.
_SENT_S = 600.0
# The service says every 15 s that it is still there.
_SILENCE_S = 45.0
# A request that may be repeated is, after these pauses in seconds.
_PAUSES_S = (0.5, 2.0)
# A service that restarts is waited for, in seconds: looked for so often, and for so long in all.
_LOOK_AGAIN_S = 1.0
_PATIENCE_S = 300.0
_CLASSES: Mapping[int, type[TunerError]] = {2: InputError, 3: NothingFeasibleError}
# What comes when a service or its database restarts, also through a proxy.
_COMES_BACK = (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, 504)


@dataclass(frozen=True)
class ServiceEvent:
    """Something that happened; `id` is what to go on after."""

    id: str
    name: str
    data: Mapping[str, Any]


class LostError(TunerError):
    """The service cannot be reached, or does not answer."""


class ServiceClient(AbstractContextManager["ServiceClient"]):
    """Asks the service at `url` (http or https) in the name of whoever holds `token`.

    Certificates are checked, with those that the system trusts or that are in `ca_file`. Proxies
    of the environment are used for other machines. Redirects are not followed: they would be given
    the token.

    Raises:
        InputError: `ca_file` cannot be used.
    """

    def __init__(self, url: str, *, token: str = "", ca_file: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._patience_s = 0.0
        self._http = httpx.Client(
            base_url=f"{self.url}{PREFIX}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            verify=_certificates(self.url, ca_file),
            trust_env=not is_loopback(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The document at `path`; of a `query` what is None is left out.

        Raises:
            TunerError: The service says what is wrong, in the words of the command line; its class
                has the same exit status.
            LostError: It does not answer.
        """
        return self._document(self._send("GET", path, params=_said(query)))

    def text(self, path: str, **query: Any) -> str:
        """The text at `path`; raises as `get` does."""
        return self._send("GET", path, params=_said(query)).text

    def post(self, path: str, content: Mapping[str, Any], *, key: str = "") -> Any:
        """The document that answers; raises as `get` does.

        With an idempotency `key` it is asked for again if the connection breaks, and done once.
        """
        headers = {IDEMPOTENCY_KEY: key} if key else {}
        pauses_s = _PAUSES_S if key else ()
        sent = self._send("POST", path, pauses_s=pauses_s, json=content, headers=headers)
        return self._document(sent)

    def put(self, path: str, file: BinaryIO) -> Any:
        """Send a file as it is; raises as `get` does, or an OSError if it cannot be read."""
        headers = {"Content-Type": "application/octet-stream"}
        wait = httpx.Timeout(_SENT_S, connect=_CONNECT_S)
        sent = self._send("PUT", path, pauses_s=(), content=file, headers=headers, timeout=wait)
        return self._document(sent)

    def events(self, path: str, after: str = "") -> Iterator[ServiceEvent]:
        """What happens after that event, until the service ends the stream.

        Raises:
            LostError: The connection broke before.
            TunerError: As in `get`.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        silence = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
        with (
            self._understood("GET", path),
            self._http.stream("GET", path, headers=headers, timeout=silence) as response,
        ):
            if not response.is_success:
                response.read()
                self._refuse(response)
            yield from parsed(response.iter_lines())

    def followed(
        self, job: str, lost: Callable[[LostError], None] = lambda _: None
    ) -> Iterator[ServiceEvent]:
        """All that happens to a job until it is over, also where the service restarts meanwhile.

        `lost` is told when the service goes away. What is read from it from now on waits for it as
        long.

        Raises:
            LostError: The service is away for longer than five minutes.
            TunerError: As in `get`.
        """
        path = job_path(job)
        self._patience_s = _PATIENCE_S
        seen, heard_s, is_there = "", time.monotonic(), True
        while True:
            before = seen
            try:
                for event in self.events(f"{path}/events", seen):
                    seen, heard_s, is_there = event.id or seen, time.monotonic(), True
                    yield event
                if seen == before and self.get(path)["ended_at"]:
                    return
                heard_s, is_there = time.monotonic(), True
            except LostError as error:
                if time.monotonic() - heard_s > _PATIENCE_S:
                    raise
                if is_there and seen == before:
                    lost(error)
                    is_there = False
            if seen == before:
                time.sleep(_LOOK_AGAIN_S)

    def _send(
        self, method: str, path: str, *, pauses_s: tuple[float, ...] = _PAUSES_S, **content: Any
    ) -> httpx.Response:
        patience_s = self._patience_s if method == "GET" else 0.0
        until = time.monotonic() + patience_s
        while True:
            try:
                with self._understood(method, path):
                    response = self._repeated(method, path, pauses_s, **content)
                return response if response.is_success else self._refuse(response)
            except LostError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_LOOK_AGAIN_S)

    def _repeated(
        self, method: str, path: str, pauses_s: tuple[float, ...], **content: Any
    ) -> httpx.Response:
        for pause_s in pauses_s:
            try:
                return self._http.request(method, path, **content)
            except httpx.ConnectError:
                raise  # nobody is there: to be said at once
            except httpx.TransportError:
                time.sleep(pause_s)
        return self._http.request(method, path, **content)

    @contextmanager
    def _understood(self, method: str, path: str) -> Iterator[None]:
        """Errors of the connection, in words."""
        asked = f"{self.url} did not answer {method} {PREFIX}{path}"
        try:
            yield
        except httpx.TimeoutException:
            raise LostError(f"{asked} in time", hint="look into the log of the service") from None
        except httpx.ConnectError as error:
            raise self._unreachable(error) from None
        except UnicodeError:
            raise InputError(
                f"{self.url} has no name of a host", hint="for example: http://127.0.0.1:8900"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            other = "" if self.url.startswith("https:") else "with TLS, it is https://..."
            raise LostError(f"{asked}: {str(error) or type(error).__name__}", hint=other) from None

    def _unreachable(self, error: httpx.ConnectError) -> TunerError:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return InputError(
                f"the certificate of {self.url} is not trusted: {error}",
                hint="name the file of the authority that signed it: TUNER_SERVICE_CA=ca.pem",
            )
        if "WRONG_VERSION_NUMBER" in str(error):
            return InputError(
                f"{self.url} does not speak TLS", hint="without TLS, it is http://..."
            )
        return LostError(
            f"no service answers at {self.url}: {error}",
            hint="start one there: `tuner serve`",
        )

    def _document(self, response: httpx.Response) -> Any:
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._no_service(response)
        return found

    def _refuse(self, response: httpx.Response) -> NoReturn:
        """Raise what the service says, as the command line would."""
        try:
            problem = response.json()
            detail, hint = str(problem["detail"]), str(problem.get("hint", ""))
            status = int(problem.get("exit_status", 2 if response.is_client_error else 1))
        except (ValueError, KeyError, TypeError, AttributeError):
            if response.status_code in _COMES_BACK:
                raise LostError(
                    f"{self.url} answers {_status(response)}",
                    hint="a proxy is there, the service is not: see whether `tuner serve` runs",
                ) from None
            raise self._no_service(response) from None
        if response.status_code in _COMES_BACK:
            raise LostError(detail, hint=hint)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            hint = (
                "TUNER_SERVICE_TOKEN=... says it: the service's own is in its file "
                "`tuner-service/token`, `tuner tokens add` prints others"
            )
        raise _CLASSES.get(status, TunerError)(detail, hint=hint)

    def _no_service(self, response: httpx.Response) -> TunerError:
        said = response.text.strip().partition("\n")[0]
        shown = "" if said.startswith("<") or not said else f": {quoted(said)}"
        hint = "the address of a service is expected; a proxy before it answers so, too"
        if response.has_redirect_location:
            hint = f"it leads to {response.headers['Location']}: name the service there"
        request = response.request
        return InputError(
            f"{self.url} answered {_status(response)} to {request.method} "
            f"{request.url.path}, and not as `tuner serve` does{shown}",
            hint=hint,
        )


def _status(response: httpx.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def is_loopback(url: str) -> bool:
    """Whether it is of this machine alone."""
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def job_path(job: str | int) -> str:
    """Of a job by its number, or by the name of its study."""
    return f"/jobs/{quote(str(job), safe='')}"


def study_path(study: str) -> str:
    return f"/studies/{quote(study, safe='')}"


def parsed(lines: Iterator[str]) -> Iterator[ServiceEvent]:
    """The events of a stream (HTML Living Standard, 9.2.6); what is cut off is none."""
    number, name, data = "", "", list[str]()
    for line in lines:
        if line:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "id":
                    number = value
                case "event":
                    name = value
                case "data":
                    data.append(value)
                case _:
                    pass  # a comment: the service is still there
        elif data:
            yield ServiceEvent(number, name, json.loads("\n".join(data)))
            name, data = "", []


def _said(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _certificates(url: str, ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None and url.startswith("http:"):
        # None are needed; to read those of the system would take 50 ms.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"TUNER_SERVICE_CA={ca_file}: the certificates cannot be used: {error}",
            hint="a file in PEM form is expected",
        ) from None
    # Who gives the service's own certificate believes that one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
