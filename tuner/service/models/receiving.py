"""The body of a request written to a file as it comes: never held in memory, never too long."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import IO

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from tuner.service.access.refusal import Refusal

# So many bytes are gathered before they are written.
_GATHERED = 1 * 2**20
# Of the headers of one part of a form.
_LONGEST_HEADERS = 8 * 2**10


async def receive(request: Request, file: Path, most: int) -> None:
    """Write the body of the request, or the one file of its form, into a new file.

    Raises:
        Refusal: It has more than `most` bytes, is no such form, or was broken off.
        OSError: It cannot be written.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most + _LONGEST_HEADERS:
        raise _too_large(most)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    chunks: AsyncIterator[bytes] = request.stream()
    if kind == b"multipart/form-data":
        chunks = _file_of_form(chunks, options.get(b"boundary", b""))
    with file.open("xb") as opened:
        try:
            await _write(chunks, opened, most)
        except ClientDisconnect:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the upload was broken off") from None
        except FormParserError as error:
            raise Refusal(
                HTTPStatus.BAD_REQUEST, f"is no form with a file: {error}", hint=_HINT
            ) from None


_HINT = "curl --upload-file model.onnx .../api/v1/models/model.onnx"


async def _write(chunks: AsyncIterator[bytes], file: IO[bytes], most: int) -> None:
    gathered, size = bytearray(), 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        gathered += chunk
        if len(gathered) >= _GATHERED:
            await run_in_threadpool(file.write, bytes(gathered))
            gathered.clear()
    if not size:
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing was sent", hint=_HINT)
    await run_in_threadpool(file.write, bytes(gathered))


def _too_large(most: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"an upload may have at most {most:,} bytes",
        hint="`tuner serve --upload-gib` allows more; `--models FOLDER` has those that are there",
        headers={"Connection": "close"},
    )


async def _file_of_form(chunks: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    form = _Form()
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": form.begin,
            "on_header_field": form.header,
            "on_header_value": form.header,
            "on_headers_finished": form.headers_finished,
            "on_part_data": form.data,
            "on_end": form.end,
        },
    )
    async for chunk in chunks:
        parser.write(chunk)
        yield form.taken()
    parser.finalize()
    if form.files != 1 or not form.is_whole:
        raise FormParserError("it has no file, or no end")


class _Form:
    """Takes the bytes of the one part that has a file's name; those of others are left out."""

    def __init__(self) -> None:
        self.files = 0
        self.is_whole = False
        self._headers = self._data = b""
        self._is_file = False

    def begin(self) -> None:
        self._headers, self._is_file = b"", False

    def header(self, data: bytes, start: int, end: int) -> None:
        self._headers += data[start:end] + b";"
        if len(self._headers) > _LONGEST_HEADERS:
            raise FormParserError("a part of it has long headers")

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers)
        self._is_file = b"filename" in options
        self.files += self._is_file
        if self.files > 1:
            raise FormParserError("it has several files; send an archive")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._data += data[start:end]

    def end(self) -> None:
        self.is_whole = True

    def taken(self) -> bytes:
        data, self._data = self._data, b""
        return data
