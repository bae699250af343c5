"""One attempt of an attack: a few sessions and their messages. Each message is recorded for the oracle."""
from dataclasses import dataclass
from random import Random

import mail
from bed.link import SERVER4
from ground import Ground
from oracle import Sent
from speaker import Speaker

FIRST_PORT, PORTS = 10_000, 20_000   # the client's ports; each attempt uses one of them
PORT_STEP = 1_013   # between two rows of the table, so that a port is not used again too soon
SAMPLED = 20   # one of this many attempts sends to alice, whose mail is delivered


class Attempt:
    """`number`: the attempt's number within its attack; `row`: the attack's number within the run. `seed`: letters and digits
    with which the tags begin; the same seed and number give the same attempt."""

    def __init__(self, ground: Ground, number: int, tls: bool, seed: str, row: int):
        self.ground, self.number, self.tls = ground, number, tls
        self.random = Random(f"{seed}/{number}")
        self.port = FIRST_PORT + (number + row * PORT_STEP) % PORTS
        self.sent: list[Sent] = []
        self._speakers: list[Speaker] = []
        self.recut = False                # something between the client and segmilter cuts the stream again
        self.to = (SERVER4, 25)
        self._seed, self._count = seed, 0
        self._recipient = b"alice" if number % SAMPLED == 0 else b"bob"

    # -- sessions

    def session(self, port: int | None = None, to: tuple[str, int] | None = None, space=None, preface: bytes = b"",
                seconds: float = 10, greet: bool = True) -> Speaker:
        """Opens a session, by default from the attempt's own port. `greet` False: nothing is sent or read yet, and TLS is not begun."""
        connection = self.ground.connect(self.port if port is None else port, to or self.to, space, seconds)
        try:
            speaker = Speaker(connection, self.tls, preface) if greet else Speaker(connection, None)
        except BaseException:
            connection.close()
            raise
        self._speakers.append(speaker)
        return speaker

    def close(self) -> None:
        """Closes all sessions that are still open."""
        for speaker in self._speakers:
            speaker.close()

    # -- messages

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def shapes(self, count: int) -> list[mail.Shape]:
        """Shapes that are all equal, or have the same header and differ by some bytes, or have any sizes."""
        first = mail.any_shape(self.random)
        # If the stream is cut again on its way, a message is recognized only by its size.
        how = self.random.choice(("near", "any") if self.recut else ("equal", "near", "any"))
        if how == "any":
            return [mail.any_shape(self.random) for _ in range(count)]
        return [first.larger(number if how == "near" else 0) for number in range(count)]

    def message(self, shape: mail.Shape) -> tuple[str, bytes]:
        tag = f"{self._seed}n{self.number:05d}m{self._count:02d}"
        self._count += 1
        return tag, mail.message(tag, shape, self.random.randrange(100))

    def envelope(self, wait: int = 0) -> bytes:
        """`wait`: how long Postfix takes at the end of the message, in milliseconds."""
        sender = b"d%d@slow.example" % wait if wait else b"sender@" + mail.DOMAIN.encode()
        return b"MAIL FROM:<" + sender + b">\r\nRCPT TO:<" + self._recipient + b"@example.org>\r\n"

    def note(self, speaker: Speaker, tag: str, kind: str, begin: int, end: int) -> None:
        self.sent.append(Sent(tag, kind, speaker.trail(begin, end), self.recut))

    def data(self, speaker: Speaker, kind: str, shape: mail.Shape, wait: int = 0) -> int:
        """Sends one message by DATA and waits for each reply. Returns the code of the last one."""
        self.say(speaker, kind, shape, wait)
        return speaker.reply()[0]

    def say(self, speaker: Speaker, kind: str, shape: mail.Shape, wait: int = 0) -> None:
        """The same, without waiting for the last reply."""
        self.dot(speaker, self.say_but_dot(speaker, kind, shape, wait))

    def say_but_dot(self, speaker: Speaker, kind: str, shape: mail.Shape, wait: int = 0) -> "Open":
        for line in self.envelope(wait).splitlines(keepends=True):
            speaker.expect(line, 250)
        speaker.expect(b"DATA\r\n", 354)
        tag, content = self.message(shape)
        begin = speaker.offset
        *most, last = mail.pieces(content, kind)
        for piece in most:
            speaker.write(piece)
        return Open(tag, kind, begin, last)

    def dot(self, speaker: Speaker, message: "Open") -> None:
        speaker.write(message.rest + b".\r\n")
        self.note(speaker, message.tag, message.kind, message.begin, speaker.offset)


@dataclass(frozen=True)
class Open:
    """A message whose last write has not been sent yet."""
    tag: str
    kind: str
    begin: int   # offset in the client's stream
    rest: bytes
