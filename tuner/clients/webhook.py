"""Tells a program of another machine something, in one request that is repeated if need be."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from time import sleep

import httpx

from tuner.errors import HIDDEN, InputError, TunerError

# One attempt may take this long in all, in seconds.
_TIMEOUT_S = 10.0
_HEADERS = {"content-type": "application/json"}
# Pauses before it is tried again, in seconds.
_PAUSES_S = (1.0, 5.0, 25.0)
# Where clouds tell a machine its secrets, beside the link-local addresses: Amazon's for IPv6
# (EC2 User Guide, "Use the Instance Metadata Service") and Alibaba's.
_METADATA = ("fd00:ec2::254", "100.100.100.200")
# Addresses of IPv6 that lead to the one of IPv4 in their last 32 bits (RFC 6052, RFC 4291).
_ENDS_IN_IPV4 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))


def is_address(url: str) -> bool:
    """Whether something can be sent there."""
    try:
        parsed = httpx.URL(url)
        return parsed.scheme in ("http", "https") and bool(parsed.host)
    except (httpx.InvalidURL, ValueError):
        return False


def shown(url: str) -> str:
    """Where something is sent, without the path: it may be a secret, as those of chats are."""
    parsed = httpx.URL(url)
    hidden = f"/{HIDDEN}" if parsed.raw_path not in (b"", b"/") else ""
    return f"{parsed.scheme}://{parsed.netloc.decode()}{hidden}" if url else ""


def check_address(url: str) -> None:
    """Of a receiver that somebody else names; what its name stands for, `post_once` looks at.

    Raises:
        InputError: It is no address, or one that nothing is sent to.
    """
    if not is_address(url):
        raise InputError(
            "a webhook must be an address: http://HOST/PATH or https://HOST/PATH",
            hint="for example: https://example.org/hooks/tuner",
        )
    host = httpx.URL(url).host
    try:
        refused = _is_refused(host)
    except ValueError:  # a name
        return
    if refused:
        raise _refusal(host)


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


async def post_once(url: str, content: bytes, headers: Mapping[str, str]) -> int:
    """Send `content`, which is JSON, in ten seconds at most; the status of the answer.

    The address was chosen by somebody else: link-local ones, where clouds keep the secrets of a
    machine, are refused, redirects are not followed, proxies are not used, and of the answer
    nothing but the status is read.

    Raises:
        TunerError: It was not sent, or there was no answer.
    """
    parsed = httpx.URL(url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            # The address that was looked at is the one that is used: a name may soon be another's.
            sent_to = parsed.copy_with(host=await _looked_up(parsed))
            host = parsed.netloc.decode()
            async with (
                httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client,
                client.stream(
                    "POST",
                    sent_to,
                    content=content,
                    headers={**_HEADERS, **headers, "host": host},
                    extensions={"sni_hostname": parsed.host},
                ) as response,
            ):
                return response.status_code
    except TimeoutError:
        raise TunerError(f"there was no answer within {_TIMEOUT_S:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise TunerError(f"{type(error).__name__}: {error}") from None


async def _looked_up(url: httpx.URL) -> str:
    """The address that the host of `url` has.

    Raises:
        InputError: Nothing is sent there.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    for each in addresses:
        if _is_refused(each):
            raise _refusal(each)
    return addresses[0]


def _is_refused(address: str) -> bool:
    """Whether nothing is sent there; a ValueError of what is no address."""
    parsed = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    meant = [parsed]
    if isinstance(parsed, ipaddress.IPv6Address):
        last = ipaddress.IPv4Address(parsed.packed[-4:])
        meant += [each for each in (parsed.ipv4_mapped, parsed.sixtofour) if each]
        meant += [last] if any(parsed in each for each in _ENDS_IN_IPV4) else []
    return any(each.is_link_local or str(each) in _METADATA for each in meant)


def _refusal(address: str) -> InputError:
    return InputError(
        f"nothing is sent to {address}: at such an address clouds keep the secrets of a machine",
        hint="name another receiver",
    )
