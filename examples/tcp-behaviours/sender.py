#!/usr/bin/python3
"""Sends one message to an SMTP server in writes of known sizes: the three behaviours of the talk.

    sender.py BEHAVIOUR HOST RECIPIENT [PORT]

    one-write           client.write(buff5k)
    two-writes          client.write(buff5k); client.write(buff5k)
    two-writes-apart    the same, with 100 ms between the two
    many-writes         four writes; before each it waits for a line on standard input, so that somebody can change the
                        network between them

A write is one call of send(). What the kernel makes of it on the network is what the drawing shows. The message is made here and
says what it is. Only the standard library is used. Exit 0: the server has taken the message; 1: it has not.
"""
import smtplib
import sys
import time

SIZE = 5120   # bytes of a write: the talk's buff5k
PAUSE = 0.1   # seconds: the talk's setTimeout
WRITES = {"one-write": 1, "two-writes": 2, "two-writes-apart": 2, "many-writes": 4}
END = b"\r\n.\r\n"
LINE = b"It is not what you say, it is the way that you say it.\r\n"


def text(behaviour: str, size: int) -> bytes:
    """A message of `size` bytes, its end of data included."""
    head = (f"From: Talk <talk@sender.example>\r\nTo: Alice <alice@example.org>\r\nSubject: {behaviour}\r\n"
            f"Message-ID: <{behaviour}@sender.example>\r\nDate: Fri, 27 Nov 2026 12:00:00 +0000\r\n\r\n").encode()
    return (head + LINE * (size // len(LINE)))[:size - len(END)] + END


def writes(behaviour: str) -> list[bytes]:
    count = WRITES[behaviour]
    whole = text(behaviour, count * SIZE)
    return [whole[at:at + SIZE] for at in range(0, len(whole), SIZE)]


def main() -> int:
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in WRITES:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    behaviour, host, recipient = sys.argv[1:4]
    session = smtplib.SMTP(host, int(sys.argv[4]) if len(sys.argv) > 4 else 25, local_hostname="talk.example", timeout=60)
    session.ehlo()
    session.mail("talk@sender.example")
    session.rcpt(recipient)
    session.docmd("DATA")
    for number, piece in enumerate(writes(behaviour)):
        if number and behaviour == "two-writes-apart":
            time.sleep(PAUSE)
        if behaviour == "many-writes":
            print("ready", flush=True)
            sys.stdin.readline()
        session.sock.sendall(piece)
    code, answer = session.getreply()
    print(code, answer.decode("utf-8", "replace"))
    session.quit()
    return 0 if code == 250 else 1


if __name__ == "__main__":
    sys.exit(main())
