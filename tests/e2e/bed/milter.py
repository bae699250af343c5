"""Standing between Postfix and a filter: the milter protocol's packets, and a socket on which Postfix is awaited."""
import os
import socket
import threading
from pathlib import Path


def packet(stream: socket.socket) -> bytes:
    """One packet, its length in front; empty at the end of the stream."""
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
    """Listens on `path` for Postfix; serve() has a connection for itself, in a thread of its own."""

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
