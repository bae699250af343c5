"""Breaks a milter connection: it relays between Postfix and the filter, and closes both connections in a chosen state."""
import socket
import threading
from pathlib import Path

from .milter import Between, filter_at, packet

# The command of the milter protocol (SMFIC_…) at which the connection is cut: all events that the filter asks for.
STATES = {"connect": b"C", "HELO": b"H", "MAIL": b"M", "RCPT": b"R", "a header": b"L", "the body": b"B",
          "the end of the message": b"E"}


class Cutter(Between):
    """Passes on to the filter at `target`. `state`: "" passes all."""

    def __init__(self, path: Path, target: Path):
        self.state, self.cuts = "", 0
        self._target = target
        super().__init__(path)

    def serve(self, postfix: socket.socket) -> None:
        filter_ = filter_at(self._target)
        try:
            threading.Thread(target=self._back, args=(filter_, postfix), daemon=True).start()
            while said := packet(postfix):
                if self.state and said[4:5] == STATES[self.state]:
                    self.cuts += 1
                    break
                filter_.sendall(said)
        except OSError:
            pass
        for stream in (postfix, filter_):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()

    @staticmethod
    def _back(filter_: socket.socket, postfix: socket.socket) -> None:
        try:
            while answer := packet(filter_):
                postfix.sendall(answer)
        except OSError:
            pass
