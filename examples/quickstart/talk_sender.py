#!/usr/bin/python3
"""Plays the senders of the talk that no harmless program plays: two bots, a relay, the 2048 club.

    talk_sender.py ROLE HOST RECIPIENT [TAG]     ROLE: bot1 bot2 relay blocks2048

Each role writes a message in the pieces that the talk shows, with TCP_NODELAY and a pause between
them, so that every piece is on the wire as a segment of its own. Standard library only; the message
is made here and says what it is.
"""
import smtplib
import socket
import sys
import time

PAUSE = 0.06  # seconds; the talk's own test used 100 ms


def header(tag: str, subject: str) -> list[bytes]:
    """The header's lines, as (name, value) pairs would print them."""
    return [f"Message-ID: <{tag}@talk.example>".encode(), b"Date: Mon, 23 Nov 2026 12:00:00 +0000",
            b"From: Talk <talk@sender.example>", b"To: Alice <alice@example.org>",
            f"Subject: {subject}".encode(), f"X-Test-Id: {tag}".encode(), b"MIME-Version: 1.0",
            b"Content-Type: text/html; charset=us-ascii"]


def body(size: int) -> bytes:
    line = b"<p>The quick brown fox writes his mail in pieces, and the pieces give him away.</p>"
    return b"\r\n".join([line] * (size // (len(line) + 2) + 1))[:size].rstrip(b"\r\n") + b"\r\n"


def joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


def bot1(tag: str) -> list[bytes]:
    """All headers in a write of their own, without the blank line; the end of data in another."""
    return [joined(header(tag, "bot 1")), b"\r\n" + body(4200).rstrip(b"\r\n"), b"\r\n.\r\n"]


def bot2(tag: str) -> list[bytes]:
    """A template: everything up to a header's value, the value, the next header, and so on."""
    lines = header(tag, "")
    before = joined(lines[:4]) + b"Subject: "
    return [before, b"You have won a prize today", b"\r\n" + joined(lines[5:]) + b"\r\n",
            body(2800) + b".\r\n"]


def relay(tag: str) -> list[bytes]:
    """The Received line first, then what was received."""
    stamp = b"Received: from home.example by relay.example; Mon, 23 Nov 2026 12:00:01 +0000\r\n"
    return [stamp, joined(header(tag, "relayed")) + b"\r\n" + body(9000) + b".\r\n"]


def blocks2048(tag: str) -> list[bytes]:
    """A buffer of 2048 bytes, written whenever it is full."""
    whole = joined(header(tag, "2048")) + b"\r\n" + body(19000) + b".\r\n"
    return [whole[at:at + 2048] for at in range(0, len(whole), 2048)]


ROLES = {"bot1": bot1, "bot2": bot2, "relay": relay, "blocks2048": blocks2048}


def main() -> int:
    if len(sys.argv) < 4 or sys.argv[1] not in ROLES:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    role, host, recipient = sys.argv[1:4]
    tag = sys.argv[4] if len(sys.argv) > 4 else role
    session = smtplib.SMTP(host, 25, local_hostname="talk.example", timeout=60)
    session.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session.ehlo()
    session.mail("talk@sender.example")
    session.rcpt(recipient)
    session.docmd("DATA")
    for number, piece in enumerate(ROLES[role](tag)):
        if number:
            time.sleep(PAUSE)
        session.sock.sendall(piece)
    code, text = session.getreply()
    print(code, text.decode("utf-8", "replace"))
    session.quit()
    return 0 if code == 250 else 1


if __name__ == "__main__":
    sys.exit(main())
