"""The messages of the attacks. Each has its own Message-ID, size and cuts.

A "template" is cut inside header lines, like the mail of the talk's spam bots #2: up to the Subject's text, the text, the rest of the
header, the body. A "nice" message is one write. Two messages of the same Shape have the same size, the same header size and the
same sizes of all fields but two. So their sizes cannot distinguish them, but the places of their cuts can.
"""
from dataclasses import dataclass
from random import Random

DOMAIN = "sender.example"
SUBJECT = b"You have won a prize today"
# One write and one TLS record, and less than TCP sends before it waits for the first acknowledgement.
LARGEST_OF_ONE_FLIGHT = 12_000


@dataclass(frozen=True)
class Shape:
    """Bytes of the whole message (without a dot line) and of its header, the blank line included."""
    size: int
    header: int

    def larger(self, by: int) -> "Shape":
        """The same header, with a body that is larger by this number of bytes."""
        return Shape(self.size + by, self.header)


def any_shape(random: Random) -> Shape:
    header = random.randrange(520, 900)
    return Shape(header + random.randrange(300, 2600), header)


def message(tag: str, shape: Shape, ahead: int) -> bytes:
    """`ahead`: how many bytes of filling come before the Subject, 0 to 99; the rest of the filling comes after it."""
    front = (f"From: Sender <sender@{DOMAIN}>\r\nTo: Alice <alice@example.org>\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
             f"Message-ID: <{tag}@{DOMAIN}>\r\nX-Test-Id: {tag}\r\nX-Ahead: {'a' * ahead}\r\n").encode()
    front += b"Subject: " + SUBJECT + b"\r\n"
    behind = shape.header - len(front) - len(b"X-Behind: \r\n\r\n")
    header = front + b"X-Behind: " + b"b" * behind + b"\r\n\r\n"
    return header + text(shape.size - shape.header)


def text(size: int) -> bytes:
    """Whole lines, none of which begins with a dot."""
    line = b"It is not what you say, it is the way that you say it.\r\n"
    whole, rest = divmod(size, len(line))
    if 0 < rest < 3:
        whole, rest = whole - 1, rest + len(line)
    return line * whole + (b"x" * (rest - 2) + b"\r\n" if rest else b"")


def pieces(wire: bytes, kind: str) -> list[bytes]:
    """The writes of a "template" or of a "nice" sender; `wire` is the message with or without its dot line."""
    if kind == "nice":
        return [wire]
    value = wire.index(b"Subject: ") + len(b"Subject: ")
    ends = [value, value + len(SUBJECT), wire.index(b"\r\n\r\n") + 4, len(wire)]
    return [wire[begin:end] for begin, end in zip([0, *ends], ends)]
