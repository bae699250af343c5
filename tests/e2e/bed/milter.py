"""Tools that take part in the milter protocol between Postfix and a filter: packets, a socket on which Postfix connects, and a slow
filter."""
import os
import socket
import struct
import threading
import time
from pathlib import Path


def packet(stream: socket.socket) -> bytes:
    """One packet with its length before it; empty at the end of the stream."""
    head = exactly(stream, 4)
    return head + exactly(stream, int.from_bytes(head, "big")) if head else b""


def exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


class Between:
    """Listens on `path` for Postfix; serve() runs in a separate thread for each connection."""

    def __init__(self, path: Path):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        os.chmod(path, 0o666)
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def serve(self, postfix: socket.socket) -> None:
        raise NotImplementedError

    def _accept(self) -> None:
        while True:
            try:
                postfix, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(postfix,), daemon=True).start()


def filter_at(path: Path) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(str(path))
    return stream


class SlowMilter(Between):
    """A filter that accepts every message, `seconds` after Postfix has shown it the end. It asks for no other event."""

    # SMFIP_NOCONNECT, NOHELO, NOMAIL, NORCPT, NOBODY, NOHDRS, NOEOH, NOUNKNOWN and NODATA of libmilter/mfdef.h.
    _ONLY_END = 0x37F

    def __init__(self, path: Path, seconds: float):
        self._seconds = seconds
        super().__init__(path)

    def serve(self, postfix: socket.socket) -> None:
        with postfix:
            while command := packet(postfix)[4:5]:
                if command == b"O":
                    answer = b"O" + struct.pack(">III", 6, 0, self._ONLY_END)
                elif command == b"E":
                    time.sleep(self._seconds)
                    answer = b"c"
                elif command == b"Q":
                    return
                else:
                    continue  # macros and aborts have no answer
                postfix.sendall(struct.pack(">I", len(answer)) + answer)
