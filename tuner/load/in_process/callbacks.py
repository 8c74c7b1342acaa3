"""The functions that Triton calls from its own threads: for memory, and with responses.

Memory is that of `malloc`; a response is written to a pipe, which wakes the event loop and keeps
the order. On x86-64 they are a few machine instructions. Elsewhere they are Python, for which
Triton's threads must wait until the load engine lets go of the interpreter.
"""

import mmap
import os
import platform
import struct
from ctypes import CDLL, addressof, c_char, c_size_t, c_void_p, cast
from typing import Any

from tuner.load.in_process.library import AllocateOutput, ReleaseOutput, Responded

# What is written for each response: its address (0: none), the flags, and the number that it was
# asked for with.
RESPONSE = struct.Struct("<QQQ")

_LIBC = CDLL(None)
_LIBC.malloc.argtypes, _LIBC.malloc.restype = (c_size_t,), c_void_p
_LIBC.free.argtypes, _LIBC.free.restype = (c_void_p,), None

# System V ABI for AMD64: arguments in rdi, rsi, rdx, rcx, r8, r9, then on the stack.
_ALLOCATE = (
    "48 83 ec 08"  # sub rsp, 8             the stack is aligned for a call
    "48 89 d7"  # mov rdi, rdx              byte_size
    "48 b8 {malloc}"  # mov rax, malloc
    "ff d0"  # call rax
    "48 83 c4 08"  # add rsp, 8
    "48 8b 4c 24 08"  # mov rcx, [rsp + 8]
    "48 89 01"  # mov [rcx], rax            *buffer
    "31 c0"  # xor eax, eax
    "48 8b 4c 24 10"  # mov rcx, [rsp + 16]
    "48 89 01"  # mov [rcx], rax            *buffer_userp = NULL
    "48 8b 4c 24 18"  # mov rcx, [rsp + 24]
    "89 01"  # mov [rcx], eax               *actual_memory_type = TRITONSERVER_MEMORY_CPU
    "48 8b 4c 24 20"  # mov rcx, [rsp + 32]
    "48 89 01"  # mov [rcx], rax            *actual_memory_type_id = 0
    "c3"  # ret                             NULL: no error
)
_RELEASE = (
    "48 83 ec 08"  # sub rsp, 8
    "48 89 f7"  # mov rdi, rsi              buffer
    "48 b8 {free}"  # mov rax, free
    "ff d0"  # call rax
    "48 83 c4 08"  # add rsp, 8
    "31 c0"  # xor eax, eax
    "c3"  # ret                             NULL: no error
)
_RESPOND = (
    "52"  # push rdx                        userp
    "56"  # push rsi                        flags
    "57"  # push rdi                        response
    "bf {pipe}"  # mov edi, pipe
    "48 89 e6"  # mov rsi, rsp
    "ba 18 00 00 00"  # mov edx, 24
    "b8 01 00 00 00"  # mov eax, 1          write
    "0f 05"  # syscall
    "48 83 c4 18"  # add rsp, 24
    "c3"  # ret
)


class Callbacks:
    """`allocate`, `release` and `respond`, as addresses that are good as long as this lives.

    Responses are written to `pipe`. With `native` they are machine code, where that can be had.
    """

    def __init__(self, pipe: int, *, native: bool = True) -> None:
        self._kept: Any = None
        if not (native and platform.machine() == "x86_64" and self._assemble(pipe)):
            self._interpret(pipe)

    def _assemble(self, pipe: int) -> bool:
        """Whether this process may run what it has written."""
        places = {
            "malloc": struct.pack("<Q", cast(_LIBC.malloc, c_void_p).value or 0).hex(),
            "free": struct.pack("<Q", cast(_LIBC.free, c_void_p).value or 0).hex(),
            "pipe": struct.pack("<I", pipe).hex(),
        }
        codes = [bytes.fromhex(each.format(**places)) for each in (_ALLOCATE, _RELEASE, _RESPOND)]
        rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        try:
            self._kept = mmap.mmap(-1, mmap.PAGESIZE, prot=rights)
        except OSError:  # SELinux may forbid it
            return False
        self._kept.write(b"".join(codes))
        begin = addressof(c_char.from_buffer(self._kept))
        self.allocate = c_void_p(begin)
        self.release = c_void_p(begin + len(codes[0]))
        self.respond = c_void_p(begin + len(codes[0]) + len(codes[1]))
        return True

    def _interpret(self, pipe: int) -> None:
        def respond(response: int | None, flags: int, number: int) -> None:
            os.write(pipe, RESPONSE.pack(response or 0, flags, number))

        self._kept = AllocateOutput(_allocate), ReleaseOutput(_release), Responded(respond)
        self.allocate, self.release, self.respond = (cast(each, c_void_p) for each in self._kept)


def _allocate(*arguments: Any) -> None:
    _, _, byte_size, _, _, _, buffer, buffer_userp, kind, kind_id = arguments
    buffer[0] = _LIBC.malloc(byte_size)
    buffer_userp[0] = None
    kind[0] = kind_id[0] = 0


def _release(allocator: int, buffer: int, *_: object) -> None:
    del allocator
    _LIBC.free(buffer)
