"""Ways to send messages in the client's stream: by BDAT and by DATA, pipelined or waiting for each reply."""
from dataclasses import dataclass

import mail
from attempt import Attempt
from speaker import Speaker


LARGE = 100_000


@dataclass(frozen=True)
class Letter:
    tag: str
    kind: str
    envelope: bytes  # MAIL and RCPT, with their line ends
    content: bytes
    refused: bool = False  # the server refuses its envelope


class Writer:
    """Collects bytes for one write. finish() records the messages after everything was written."""

    def __init__(self, attempt: Attempt, speaker: Speaker):
        self._attempt, self.speaker = attempt, speaker
        self._pending, self._marks = b"", []

    def add(self, data: bytes) -> None:
        self._pending += data

    def flush(self) -> None:
        if self._pending:
            self.speaker.write(self._pending)
            self._pending = b""

    def body(self, letter: Letter, wire: bytes) -> None:
        """Sends the message, except for its last piece, which goes out together with the bytes that follow."""
        begin = self.speaker.offset + len(self._pending)
        self._marks.append((letter.tag, letter.kind, begin, begin + len(wire)))
        *most, last = mail.pieces(wire, letter.kind)
        if most:
            self.flush()
            self.speaker.settle()
        for piece in most:
            self.speaker.write(piece)
        self.add(last)
        if len(last) > LARGE:
            # Such a write has to wait for room in the middle, and TCP then cuts at an accidental place: the next message starts a new write.
            self.flush()
            self.speaker.settle()

    def finish(self) -> None:
        self.flush()
        for mark in self._marks:
            self._attempt.note(self.speaker, *mark)


def by_bdat(attempt: Attempt, speaker: Speaker, letters: list[Letter], pipelined: bool, apart: bool = False) -> None:
    """`apart`: pipelined, but each message ends a write."""
    writer, owed = Writer(attempt, speaker), 0
    for letter in letters:
        writer.add(letter.envelope)
        if not pipelined:
            writer.flush()
            speaker.replies(letter.envelope.count(b"\n"))
        writer.add(b"BDAT %d LAST\r\n" % len(letter.content))
        writer.body(letter, letter.content)
        if apart or not pipelined:
            writer.flush()
        if pipelined:
            owed += letter.envelope.count(b"\n") + 1
        else:
            speaker.reply()
    writer.finish()
    speaker.replies(owed)


def by_data(attempt: Attempt, speaker: Speaker, letters: list[Letter], pipelined: bool) -> None:
    """Text is sent only after 354; with pipelining the next envelope follows the dot (RFC 2920, 3.1)."""
    writer, owed = Writer(attempt, speaker), 0

    def hear(always: bool) -> list[int]:
        nonlocal owed
        if pipelined and not always:
            return []
        writer.flush()
        answers, owed = speaker.replies(owed), 0
        return answers

    for letter in letters:
        for line in letter.envelope.splitlines(keepends=True):
            writer.add(line)
            owed += 1
            hear(always=False)
        writer.add(b"DATA\r\n")
        owed += 1
        if hear(always=True)[-1] == 354:
            writer.body(letter, letter.content + b".\r\n")
        else:
            writer.add(b"RSET\r\n")
        owed += 1
        hear(always=False)
    writer.finish()
    speaker.replies(owed)


def by_data_ahead(attempt: Attempt, speaker: Speaker, letters: list[Letter], greeted: bool = True) -> None:
    """Without waiting for 354 or any other reply, not even for the greeting if that was not read yet. No legitimate program does so,
    but Postfix permits it."""
    writer, owed = Writer(attempt, speaker), 0
    if not greeted:
        writer.add(b"EHLO client.example\r\n")
        owed = 2
    for letter in letters:
        writer.add(letter.envelope + b"DATA\r\n")
        if letter.refused:
            writer.add(b"RSET\r\n")
        else:
            writer.body(letter, letter.content + b".\r\n")
        owed += letter.envelope.count(b"\n") + 2
    writer.finish()
    speaker.replies(owed)
