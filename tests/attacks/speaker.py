"""A client that remembers how it has written, so that a label can be compared with it.

It reads the server's replies itself, because a row of pipelined commands has as many replies as commands.
"""
import array
import fcntl
import itertools
import socket
import ssl
import struct
import time
from dataclasses import dataclass

MSS = 1448              # of the bed's link, with timestamps
RECORD = 16_384         # plaintext of a full TLS record
SIOCOUTQ = 0x5411       # linux/sockios.h: bytes that the other side has not acknowledged
RECORD_OVERHEAD = 22    # TLS 1.3 with AES-GCM: 5 of the record's header, 1 of its type, 16 of the tag


def _context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


CONTEXT = _context()
_numbers = itertools.count()   # numbers the sessions


@dataclass(frozen=True)
class Trail:
    """How a message was sent: `size` bytes from `begin` of the plaintext of `session`, and the segments that they came in. Under
    TLS these are segments of ciphertext, of all records (`first` to `last` of the plaintext) that hold some of the message;
    `least` are the bytes of those that hold nothing else, `most` of all. In clear both are `size`."""
    session: int
    begin: int
    size: int
    first: int
    last: int
    segments: tuple[int, ...]
    least: int
    most: int
    sealed: bool

    def shares_with(self, other: "Trail") -> bool:
        """True if some record contains text of both messages."""
        return self.session == other.session and self.first < other.begin + other.size and other.begin < self.last


class Speaker:
    """One session on a connected socket. `tls`: under STARTTLS (True), in clear (False), or nothing is sent yet (None). `preface`: bytes that
    a balancer sends before the client's stream."""

    def __init__(self, connection: socket.socket, tls: bool | None, preface: bytes = b""):
        self.socket, self._buffer, self._tls = connection, b"", False
        self._number = next(_numbers)
        self._writes: list[tuple[int, int]] = []  # begin and end in the plaintext stream
        connection.settimeout(20)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if preface:
            connection.sendall(preface)
        if tls is None:
            return
        self.reply()
        self.expect(b"EHLO client.example\r\n", 250)
        if tls:
            self.expect(b"STARTTLS\r\n", 220)
            self.socket = CONTEXT.wrap_socket(connection)
            self._buffer, self._tls = b"", True
            self.expect(b"EHLO client.example\r\n", 250)

    @property
    def offset(self) -> int:
        return self._writes[-1][1] if self._writes else 0

    def write(self, data: bytes) -> None:
        """One write to TCP, or to TLS."""
        begin = self.offset
        self._writes.append((begin, begin + len(data)))
        self.socket.sendall(data)

    def settle(self, seconds: float = 5) -> bool:
        """Waits until the server's TCP has acknowledged everything. After that each write is a segment of its own (TCP joins writes
        that wait for acknowledgements), and a reset does not discard earlier bytes."""
        left, deadline = array.array("i", [1]), time.monotonic() + seconds
        while time.monotonic() < deadline:
            fcntl.ioctl(self.socket.fileno(), SIOCOUTQ, left)
            if left[0] == 0:
                return True
            time.sleep(0.0003)
        return False

    def reply(self) -> tuple[int, str]:
        while True:
            while b"\n" not in self._buffer:
                more = self.socket.recv(65536)
                if not more:
                    raise ConnectionResetError("the server closed the connection")
                self._buffer += more
            line, self._buffer = self._buffer.split(b"\n", 1)
            if line[3:4] != b"-":
                return int(line[:3]), line.decode("ascii", "replace").strip()

    def replies(self, count: int) -> list[int]:
        return [self.reply()[0] for _ in range(count)]

    def expect(self, line: bytes, code: int) -> None:
        self.write(line)
        got, text = self.reply()
        if got != code:
            raise ConnectionError(f"{text} (to {line[:60]!r})")

    def trail(self, begin: int, end: int) -> Trail:
        """The trail of the bytes from `begin` to `end` of the stream, all of which were written."""
        touching = [write for write in self._writes if write[0] < end and write[1] > begin]
        return self._under_tls(touching, begin, end) if self._tls else self._clear(touching, begin, end)

    def _clear(self, writes, begin: int, end: int) -> Trail:
        segments = []
        for first, last in writes:
            for at in range(first, last, MSS):
                size = min(at + MSS, last, end) - max(at, begin)
                if size > 0:
                    segments.append(size)
        size = end - begin
        return Trail(self._number, begin, size, begin, end, tuple(segments), size, size, sealed=False)

    def _under_tls(self, writes, begin: int, end: int) -> Trail:
        records = [(at, min(at + RECORD, last)) for first, last in writes for at in range(first, last, RECORD)]
        touching = [record for record in records if record[0] < end and record[1] > begin]
        inside = [record for record in touching if record[0] >= begin and record[1] <= end]
        segments = []
        for first, last in touching:
            sealed = last - first + RECORD_OVERHEAD
            segments += [min(MSS, sealed - at) for at in range(0, sealed, MSS)]

        def tls_size(some) -> int:
            return sum(last - first + RECORD_OVERHEAD for first, last in some)
        return Trail(self._number, begin, end - begin, touching[0][0], touching[-1][1], tuple(segments),
                     tls_size(inside), tls_size(touching), sealed=True)

    def half_close(self) -> None:
        """Sends FIN; replies can still be read, also under TLS."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection with RST, and at once."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def quit(self) -> None:
        try:
            self.write(b"QUIT\r\n")
            self.reply()
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        self.socket.close()
