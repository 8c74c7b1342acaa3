"""When a packet arrived: when the kernel stamped it, however late a process came to read it."""

import socket
import struct
import time
from time import monotonic

# asm-generic/socket.h; Python has no name for it. The stamp is a timespec (socket(7)).
_SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("@ll")
_ANCILLARY_SIZE = socket.CMSG_SPACE(_STAMP.size)
_MOST_BYTES = 65_536


class PacketClock:
    """Reads the connections that are accepted from `listening`, with their stamps."""

    def __init__(self, listening: socket.socket) -> None:
        listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        # From the clock of the stamps to the monotonic one; the process may pause between the two.
        self._offset_ns = max(time.time_ns() - time.monotonic_ns() for _ in range(100))

    def read(self, connection: socket.socket) -> tuple[bytes, float]:
        """What came, and the moment of the monotonic clock when it did; no bytes at the end."""
        try:
            data, ancillary, _, _ = connection.recvmsg(_MOST_BYTES, _ANCILLARY_SIZE)
        except ConnectionError:
            return b"", monotonic()
        # The kernel begins to stamp a moment after the first socket has asked for it.
        if not ancillary:
            return data, monotonic()
        seconds, nanoseconds = _STAMP.unpack(ancillary[0][2])
        return data, float(seconds * 10**9 + nanoseconds - self._offset_ns) * 1e-9
