"""The content of HTTP messages: content codings (RFC 9110 section 8.4.1), and what a head says."""

import gzip
import zlib

from tuner.errors import InputError

# Bytes that a response may have: a few compressed bytes can claim to be any amount of content.
_MOST_BYTES = 256 << 20
# zlib: the largest window; plus 32: gzip (RFC 1952) or zlib (RFC 1950, `deflate`), as it comes.
_ANY_FORMAT = zlib.MAX_WBITS + 32


def compressed(body: bytes, coding: str) -> bytes:
    """`body` in the content coding `gzip` or `deflate`; as it is if that is empty.

    Raises:
        InputError: There is no such coding.
    """
    if not coding:
        return body
    if coding == "gzip":
        return gzip.compress(body, mtime=0)
    if coding == "deflate":
        return zlib.compress(body)
    raise InputError(
        f"requests cannot be compressed with `{coding}`", hint="possible: `gzip`, `deflate`"
    )


def header(head: bytes, name: str) -> str:
    """The value of a header field in the head of a response, in lower case; empty without one."""
    _, found, rest = head.lower().partition(f"\r\n{name.lower()}:".encode())
    return rest.partition(b"\r\n")[0].strip().decode("latin-1") if found else ""


def decoded(head: bytes, body: bytes) -> bytes:
    """The body of a response without its content coding.

    Raises:
        ValueError: The coding is unknown or broken, or there are more than 256 MiB.
    """
    coding = header(head, "Content-Encoding")
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"a response in the content coding `{coding}`")
    decompressor = zlib.decompressobj(_ANY_FORMAT)
    try:
        content = decompressor.decompress(body, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"a response that is not {coding}: {error}") from None
    if not decompressor.eof:
        raise ValueError(f"a {coding} response that is cut short, or of over {_MOST_BYTES} bytes")
    return content
