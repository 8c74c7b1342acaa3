"""Archives that try to write elsewhere, to fill a disk or the memory, or to be read two ways."""

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from functools import partial

Made = Callable[[], bytes]
Files = Mapping[str, bytes]

MIB = 2**20


def zipped(files: Files, *, compressed: bool = True, mode: int = 0, flags: int = 0) -> bytes:
    """A zip with these files, whatever their names are."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED if compressed else 0) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.filename = info.orig_filename = name
            info.compress_type = archive.compression
            info.external_attr = mode << 16
            archive.writestr(info, content)
            info.flag_bits |= flags
    return data.getvalue()


def twice(*names: str) -> bytes:
    """A zip in which files with these names follow each other."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"" if name.endswith("/") else b"x")
    return data.getvalue()


def renamed(before: str, after: bytes) -> bytes:
    """A zip in which a name was changed afterwards, to what no writer would write."""
    assert len(before) == len(after)
    return zipped({before: b"x"}).replace(before.encode(), after)


def tarred(*members: tarfile.TarInfo | str, kind: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of these; those that are named alone have a byte each."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=kind) as archive:
        for member in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if isinstance(member, str):
                info.size = 1
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return data.getvalue()


def member(name: str, kind: bytes, link: str = "", **others: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for field, value in others.items():
        setattr(info, field, value)
    return info


def paxed(name: str, **headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = 1, headers
    return info


def gnu_long(kind: bytes, size: int, data: bytes) -> bytes:
    """A header that says that a name of so many bytes follows."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + data


def zip64_contents(size: int) -> bytes:
    """A zip whose table of contents is said to have so many bytes."""
    data = zipped({"a": b"x"})
    at = data.rindex(b"PK\x05\x06")
    return data[: at + 12] + struct.pack("<L", size) + data[at + 16 :]


def lying(files: Files, size: int) -> bytes:
    """A zip that says of its files that they have so many bytes."""
    data = bytearray(zipped(files))
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        data[at + 24 : at + 28] = struct.pack("<L", size)
        at += 4
    return bytes(data)


def overlapping(count: int) -> bytes:
    """A zip whose files are all the same bytes of it (D. Fifield, WOOT 2019)."""
    data = zipped({"a": bytes(8 * MIB)})
    begin, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entry = data[begin:end]
    entries = b"".join(entry[:-1] + bytes([65 + each]) for each in range(count))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entries), begin, 0)
    return data[:begin] + entries + tail


def sparse_1_0() -> bytes:
    """A pax header with a map of holes that never ends."""
    info = paxed(
        "a", **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    )
    info.size = 4 * MIB
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"999999999\n" + b"1\n" * (2 * MIB - 5)))
    return data.getvalue()


def nested(count: int) -> bytes:
    """Headers of long names, each before the next one."""
    return b"".join(
        gnu_long(tarfile.GNUTYPE_LONGNAME, 2, b"a\0" + bytes(510)) for _ in range(count)
    )


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


_OUT = "leads out of the folder, or nowhere"
_NOT_RELATIVE = "is not relative to the folder"
_CHARACTERS = "has characters that no path of a model has"
_LINK = "is a link or a device, not a file"
_TWICE = "is there twice, or differs by capitals alone"
_BROKEN = "is no zip or tar archive, or is damaged"
_UNTRUE = "what the archive says of its files is larger than can be true"
_UNUSUAL = "is encrypted, or packed in an unusual way"

# Paths that a zip and a tar can have both.
_PATHS: Mapping[str, tuple[str, str]] = {
    "parent": ("../evil", _OUT),
    "parents": ("../../../../../../tmp/evil", _OUT),
    "parent within": ("a/../../evil", _OUT),
    "parent at the end": ("a/..", _OUT),
    "parent and back": ("a/../b", _OUT),
    "parent behind a dot": ("./../evil", _OUT),
    "absolute": ("/etc/evil", _NOT_RELATIVE),
    "absolute, twice": ("//etc/evil", _NOT_RELATIVE),
    "drive": ("C:evil", _NOT_RELATIVE),
    "drive and slash": ("C:/evil", _NOT_RELATIVE),
    "backslashes": ("..\\..\\evil", _CHARACTERS),
    "share": ("\\\\host\\share\\evil", _CHARACTERS),
    "line break": ("a\nb", _CHARACTERS),
    "escape sequence": ("a\x1b[2Jb", _CHARACTERS),
    "right to left": ("a\u202egpj.exe", _CHARACTERS),
    "empty part": ("a//b", _OUT),
    "long name": ("a" * 256, "is too long"),
    "long name in UTF-8": ("é" * 128, "is too long"),
    "long path": ("/".join(["a" * 200] * 6), "is too long"),
    "deep": ("/".join(["a"] * 17), "has more than 16 folders inside each other"),
}

HOSTILE: dict[str, tuple[Made, str]] = {
    **{
        f"zip, {kind}": (partial(zipped, {name: b"x"}), said)
        for kind, (name, said) in _PATHS.items()
    },
    **{
        f"tar, {kind}": (partial(tarred, name), said)
        for kind, (name, said) in _PATHS.items()
    },
    "zip, null character": (lambda: renamed("good.onnxXevil", b"good.onnx\0evil"), _CHARACTERS),
    "zip, symbolic link": (
        lambda: zipped({"a": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777), _LINK
    ),
    "zip, device": (lambda: zipped({"a": b""}, mode=stat.S_IFCHR | 0o666), _LINK),
    "zip, FIFO": (lambda: zipped({"a": b""}, mode=stat.S_IFIFO | 0o666), _LINK),
    "zip, socket": (lambda: zipped({"a": b""}, mode=stat.S_IFSOCK | 0o666), _LINK),
    "zip, folder called a file": (
        lambda: zipped({"a": b""}, mode=stat.S_IFDIR | 0o755), "is not what its name says"
    ),
    "zip, file called a folder": (
        lambda: zipped({"a/": b""}, mode=stat.S_IFREG | 0o644), "is not what its name says"
    ),
    "zip, encrypted": (lambda: zipped({"a": b"x"}, flags=1), _UNUSUAL),
    "zip, twice": (lambda: twice("a", "a"), _TWICE),
    "zip, capitals": (lambda: twice("model.onnx", "Model.ONNX"), _TWICE),
    "zip, capitals of a folder": (lambda: twice("a/x", "A/y"), _TWICE),
    "zip, composed otherwise": (lambda: twice("\u00e9", "e\u0301"), _TWICE),
    "zip, sharp s": (lambda: twice("stra\u00dfe", "STRASSE"), _TWICE),
    "zip, file and folder": (lambda: twice("a", "a/b"), _TWICE),
    "zip, folder and file": (lambda: twice("a/b", "a"), _TWICE),
    "zip, dot and none": (lambda: twice("a", "./a"), _TWICE),
    "zip, the folder itself": (lambda: twice("."), _TWICE),
    "zip, nothing": (lambda: zipped({}), "the archive has no files"),
    "zip, folders alone": (lambda: twice("a/", "a/b/"), "the archive has no files"),
    "zip, many": (
        lambda: zipped({f"{n}": b"" for n in range(101)}), "the archive has more than 100 files"
    ),
    "zip, many folders": (
        lambda: twice(*(f"{n}/" for n in range(101))), "the archive has more than 100 files"
    ),
    "zip, large": (
        lambda: zipped({"a": bytes(25 * MIB)}), "unpacked, it is more than 200 times as large"
    ),
    "zip, large in all": (
        lambda: zipped({f"{n}": bytes(MIB) for n in range(25)}),
        "unpacked, it is more than 200 times as large",
    ),
    "zip, larger than is taken": (
        lambda: zipped({"a": bytes(25 * MIB)}, compressed=False),
        "unpacked, it has more than 25,165,824 bytes",
    ),
    "zip, larger than it says": (lambda: lying({"a": b"x" * 100_000}, 10), _BROKEN),
    "zip, files on each other": (lambda: overlapping(9), _BROKEN),
    "zip, huge table of contents": (lambda: zip64_contents(0x7FFFFFFF), _BROKEN),
    "zip, cut off": (lambda: zipped({"a": b"x" * 1000})[:-30], _BROKEN),
    "zip, damaged content": (
        lambda: damaged(zipped({"a": b"x" * 1000}, compressed=False), 500), _BROKEN
    ),
    "zip, damaged start": (lambda: damaged(zipped({"a": b"x"}), 30), _BROKEN),
    "zip, only its first letters": (lambda: b"PK\x03\x04", _BROKEN),
    "tar, symbolic link": (lambda: tarred(member("a", tarfile.SYMTYPE, "/etc")), _LINK),
    "tar, link, then below it": (
        lambda: tarred(member("a", tarfile.SYMTYPE, "/tmp"), "a/evil"), _LINK  # noqa: S108
    ),
    "tar, hard link": (lambda: tarred(member("a", tarfile.LNKTYPE, "/etc/passwd")), _LINK),
    "tar, hard link within": (lambda: tarred("b", member("a", tarfile.LNKTYPE, "b")), _LINK),
    "tar, character device": (
        lambda: tarred(member("a", tarfile.CHRTYPE, devmajor=1, devminor=3)), _LINK
    ),
    "tar, block device": (lambda: tarred(member("a", tarfile.BLKTYPE, devmajor=8)), _LINK),
    "tar, FIFO": (lambda: tarred(member("a", tarfile.FIFOTYPE)), _LINK),
    "tar, contiguous": (lambda: tarred(member("a", tarfile.CONTTYPE)), _LINK),
    "tar, unknown kind": (lambda: tarred(member("a", b"Z")), _LINK),
    "tar, old sparse file": (lambda: tarred(member("a", tarfile.GNUTYPE_SPARSE)), _LINK),
    "tar, map of holes without end": (sparse_1_0, _UNTRUE),
    "tar, twice": (lambda: tarred("a", "a"), _TWICE),
    "tar, capitals": (lambda: tarred("a", "A"), _TWICE),
    "tar, file and folder": (lambda: tarred("a", "a/b"), _TWICE),
    "tar, path of a header": (
        lambda: tarred(paxed("a", path="../evil"), kind=tarfile.PAX_FORMAT), _OUT
    ),
    "tar, null character of a header": (
        lambda: tarred(paxed("a", path="good\0evil"), kind=tarfile.PAX_FORMAT), _CHARACTERS
    ),
    "tar, negative size of a header": (
        lambda: tarred(paxed("a", size="-1"), kind=tarfile.PAX_FORMAT), _BROKEN
    ),
    "tar, many digits of a header": (
        lambda: tarred(paxed("a", size="9" * 5000), kind=tarfile.PAX_FORMAT), _BROKEN
    ),
    "tar, long header": (
        lambda: tarred(paxed("a", comment="x" * MIB), kind=tarfile.PAX_FORMAT), _UNTRUE
    ),
    "tar, name of a gigabyte": (
        lambda: gnu_long(tarfile.GNUTYPE_LONGNAME, 2**30, b"a" * 512), _UNTRUE
    ),
    "tar, link name of a gigabyte": (
        lambda: gnu_long(tarfile.GNUTYPE_LONGLINK, 2**30, b"a" * 512), _UNTRUE
    ),
    "tar, headers before headers": (lambda: nested(2000), _UNTRUE),
    "tar, many": (
        lambda: tarred(*(f"{n}" for n in range(101))), "the archive has more than 100 files"
    ),
    "tar, larger than is taken": (
        lambda: tarred(member("a", tarfile.REGTYPE, size=25 * MIB)),
        "unpacked, it has more than 25,165,824 bytes",
    ),
    "tar, shorter than it says": (
        lambda: tarred(member("a", tarfile.REGTYPE, size=100_000))[:2048], _BROKEN
    ),
    "tar, damaged header": (lambda: damaged(tarred("a", "b"), 1024 + 5), _BROKEN),
    "tar.gz, bomb": (
        lambda: gzip.compress(tarred(member("a", tarfile.REGTYPE, size=20 * MIB)).replace(
            b"x" * 4096, bytes(4096))),
        "unpacked, it is more than 200 times as large",
    ),
    "tar.gz, zeros behind its end": (
        lambda: gzip.compress(tarred("a") + bytes(2 * MIB)), "the archive goes on behind its end"
    ),
    "tar.gz, cut off": (lambda: gzip.compress(tarred("a" * 50, "b" * 90))[:-60], _BROKEN),
    "tar.gz, wrong sum": (lambda: damaged(gzip.compress(tarred("a")), -6), _BROKEN),
    "tar.gz, of no tar": (lambda: gzip.compress(b"x" * 5000), _BROKEN),
    "gzip, only its first letters": (lambda: b"\x1f\x8b", _BROKEN),
    "empty": (lambda: b"", _BROKEN),
    "zeros": (lambda: bytes(10_240), "the archive has no files"),
    "text": (lambda: b"hello " * 1000, _BROKEN),
    "bzip2": (lambda: b"BZh91AY&SY" + bytes(600), _BROKEN),
    "xz": (lambda: b"\xfd7zXZ\0" + bytes(600), _BROKEN),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(600), _BROKEN),
    "rar": (lambda: b"Rar!\x1a\x07\x01\0" + bytes(600), _BROKEN),
    "a page": (lambda: b"<!doctype html>" + b"<script>alert(1)</script>" * 50, _BROKEN),
}  # fmt: skip
"""What each is, what makes it, and what is said of it, by limits of 100 files and 24 MiB."""
