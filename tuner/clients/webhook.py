"""Tells a program of another machine something, in one request that is repeated if need be."""

from time import sleep

import httpx

from tuner.errors import TunerError

_TIMEOUT_S = 10.0
_HEADERS = {"content-type": "application/json"}
# Pauses before it is tried again, in seconds.
_PAUSES_S = (1.0, 5.0, 25.0)


def is_address(url: str) -> bool:
    """Whether something can be sent there."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def post(url: str, content: str) -> None:
    """Send `content`, which is JSON; four attempts. Proxies of the environment are used.

    Its path may be a secret, so errors name the host alone.

    Raises:
        TunerError: It was not taken.
    """
    host, problem = httpx.URL(url).host, ""
    for pause_s in (*_PAUSES_S, None):
        try:
            response = httpx.post(url, content=content, headers=_HEADERS, timeout=_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if response.is_success:
                return
            problem = f"it answered {response.status_code}"
        if pause_s is not None:
            sleep(pause_s)
    raise TunerError(f"{host} was told nothing: {problem}")
