"""An independent reader of what tcpdump saw: streams, SMTP, and each message's segments.

It shares no code with the program under test. A segment is a packet's payload. Of several copies of a byte the first one that
arrived counts; later copies are cut away, and packets that become empty are dropped. The message's window is found by following
the dialogue: commands and replies in step, DATA up to CRLF.CRLF, BDAT by its counts.
"""
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

SYN, FIN = 2, 1


@dataclass(frozen=True)
class Packet:
    time: float
    source: tuple[bytes, int]
    target: tuple[bytes, int]
    seq: int
    flags: int
    payload: bytes


def packets(path: Path):
    """Every TCP packet over IPv4 or IPv6 of an Ethernet capture."""
    data = path.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    unit = 1e-9 if data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1e-6
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16:at + 16 + kept]
        at += 16 + kept
        packet = _tcp(frame, seconds + fraction * unit)
        if packet:
            yield packet


def _tcp(frame: bytes, when: float) -> Packet | None:
    kind = frame[12:14]
    if kind == b"\x08\x00" and frame[23] == 6:
        total, = struct.unpack_from(">H", frame, 16)
        start, stop = 14 + (frame[14] & 15) * 4, 14 + total
        source, target = frame[26:30], frame[30:34]
    elif kind == b"\x86\xdd" and frame[20] == 6:
        length, = struct.unpack_from(">H", frame, 18)
        start, stop = 54, 54 + length
        source, target = frame[22:38], frame[38:54]
    else:
        return None
    sport, dport, seq = struct.unpack_from(">HHI", frame, start)
    payload = frame[start + (frame[start + 12] >> 4) * 4:stop]
    return Packet(when, (source, sport), (target, dport), seq, frame[start + 13], payload)


@dataclass
class Stream:
    """One direction: segments as they arrived, offsets from the first payload byte."""
    base: int | None = None
    arrivals: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, packet: Packet) -> None:
        if packet.flags & SYN:
            self.base = (packet.seq + 1) & 0xffffffff
        elif packet.payload and self.base is not None:
            offset = (packet.seq - self.base) & 0xffffffff
            if offset < 1 << 31:
                self.arrivals.append((offset, packet.payload))

    def first_copies(self) -> list[list[tuple[int, int]]]:
        """For each arrival, in order, the ranges of bytes that it was the first to bring."""
        holes: list[tuple[int, int]] = [(0, 1 << 40)]  # ranges that have not arrived yet
        result = []
        for offset, payload in self.arrivals:
            end, fresh, rest = offset + len(payload), [], []
            for begin, stop in holes:
                low, high = max(begin, offset), min(stop, end)
                if low >= high:
                    rest.append((begin, stop))
                    continue
                fresh.append((low, high))
                rest += [(a, b) for a, b in ((begin, low), (high, stop)) if a < b]
            holes = sorted(rest)
            result.append(fresh)
        return result

    def bytes(self) -> bytes:
        """The stream up to the first byte that never came."""
        out = bytearray()
        for (offset, payload), fresh in sorted(zip(self.arrivals, self.first_copies()),
                                               key=lambda pair: pair[1] or [(1 << 40, 0)]):
            for low, high in fresh:
                if low != len(out):
                    return bytes(out)
                out += payload[low - offset:high - offset]
        return bytes(out)


@dataclass
class Transfer:
    """One message: where its bytes lie in the client's stream, and its segments there."""
    spans: list[tuple[int, int]]
    content: bytes
    bdat: bool
    segments: list[int] = field(default_factory=list)
    resent: bool = False  # the session sent something twice or out of order

    def header(self, name: str) -> str:
        found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*(.*?)\r?$", self.content)
        return found.group(1).decode() if found else ""


class Capture:
    """All sessions with the server's port in one capture file."""

    def __init__(self, path: Path, port: int = 25):
        self.path, self.port = path, port
        self._sessions: dict[tuple, tuple[Stream, Stream]] = {}
        for packet in packets(path):
            to_server = packet.target[1] == port
            key = packet.source if to_server else packet.target
            if packet.flags & SYN and to_server and key in self._sessions:
                if self._sessions[key][0].arrivals:  # the port was used again
                    self._sessions[key + (packet.time,)] = self._sessions.pop(key)
            pair = self._sessions.setdefault(key, (Stream(), Stream()))
            pair[0 if to_server else 1].add(packet)

    def transfers(self) -> list[Transfer]:
        found = []
        for client, server in self._sessions.values():
            found += _segments(client, dialogue(client.bytes(), replies(server.bytes())))
        return found


def replies(stream: bytes) -> list[int]:
    """Codes of the server's replies, each reply once however many lines it has."""
    return [int(line[:3]) for line in stream.split(b"\r\n")[:-1] if line[3:4] != b"-"]


def dialogue(stream: bytes, codes: list[int]) -> list[Transfer]:
    """Walks commands and replies in step and returns the messages that were sent to their end."""
    found, spans, at = [], [], 0
    answers = iter(codes[1:])  # the greeting answers nothing
    while True:
        end = stream.find(b"\n", at)
        if end < 0:
            return found
        line = stream[at:end].rstrip(b"\r").upper()
        at = end + 1
        chunk = re.fullmatch(rb"BDAT +(\d+)( +LAST)? *", line)
        if chunk:
            spans.append((at, at + int(chunk.group(1))))
            at = spans[-1][1]
            if next(answers, 0) >= 400:
                spans = []
            elif chunk.group(2) and at <= len(stream):
                found.append(_transfer(stream, spans, True))
                spans = []
            continue
        code = next(answers, 0)
        if line == b"DATA" and code == 354:
            stop = at + 3 if stream[at:at + 3] == b".\r\n" else stream.find(b"\r\n.\r\n", at) + 5
            if stop < 5:
                return found
            found.append(_transfer(stream, [(at, stop)], False))
            at = stop
            next(answers, 0)
        elif line == b"STARTTLS" and code == 220:
            return found
        elif line.startswith(b"RSET"):
            spans = []


def _transfer(stream: bytes, spans: list[tuple[int, int]], bdat: bool) -> Transfer:
    spans = [span for span in spans if span[0] < span[1]]
    return Transfer(list(spans), b"".join(stream[low:high] for low, high in spans), bdat)


def _segments(stream: Stream, transfers: list[Transfer]) -> list[Transfer]:
    """Assigns each transfer its segments: the bytes of its window that each packet was the first to bring."""
    copies = stream.first_copies()
    offsets = [offset for offset, _ in stream.arrivals]
    untidy = offsets != sorted(offsets) or any(
        sum(high - low for low, high in fresh) != len(payload)
        for (_, payload), fresh in zip(stream.arrivals, copies))
    for transfer in transfers:
        parts = []
        for fresh in copies:
            cut = [(max(low, begin), min(high, end)) for low, high in fresh
                   for begin, end in transfer.spans if max(low, begin) < min(high, end)]
            if cut:
                parts.append((min(cut)[0], sum(high - low for low, high in cut)))
        transfer.segments = [size for _, size in sorted(parts)]
        transfer.resent = untidy
    return transfers
