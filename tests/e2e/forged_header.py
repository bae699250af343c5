#!/usr/bin/python3
"""A client may send any X-Protocol-Pattern headers: the delivered message has exactly one, segmilter's own, below Postfix's own
Received; or the message is refused.

    forged_header.py PROGRAM

Also tested: fields that are put before the message (PREPEND), a header check that removes Received, and a content filter that gives
the message back over loopback, where the first label stays.
"""
import sys
import time
from pathlib import Path

from bed import report
from bed.smtp import Refused
from bed.testbed import Bed

ONE = b"X-Protocol-Pattern: mx1.example.org; pattern=official-mta; score=-9; action=none; v=1\r\n"
FORGED = (ONE + b"x-protocol-pattern: mx1.example.org; pattern=relay;\r\n\tscore=-9; v=1\r\n"
          b"Subject: forged\r\n"
          b"X-PROTOCOL-PATTERN: forged.example; pattern=none-such\r\n")
BODY = b"text\r\n" * 400
BACK = "127.0.0.1:10026 inet n - n - - smtpd -o content_filter=\n"
RULES = "smtpd_recipient_restrictions"
PREPEND = (f"{RULES} = check_client_access inline:{{{{192.0.2.7=PREPEND X-One: 1}}}}, "
           "check_sender_access inline:{{sender.example=PREPEND X-Two: 2}}")
HEADER_CHECK = "header_checks = regexp:{{{{/^Received:.*by mx1/ {}}}}}"


def names(message) -> list[str]:
    """The fields' names, without those of delivery."""
    lines = message.head().decode().splitlines()
    found = [line.split(":")[0] for line in lines if line[:1] not in " \t" and ":" in line]
    return found[found.index("Delivered-To") + 1:]


def adds_up(label, size: int) -> bool:
    """Checks that the label's segments are the message's. If there are many different ones, the header has the first ones and the
    number of the others."""
    if label.segments:
        return sum(label.segments) == size
    return "+" in label.fields.get("segments", "")


class Sender:
    def __init__(self, bed: Bed, checks: report.Checks):
        self.bed, self.checks, self.count = bed, checks, 0
        self.seen: set[bytes] = set()

    def newest(self):
        """The new message; None: there is none. The order of the files is not that of delivery."""
        messages = self.bed.postfix.wait_delivered("alice", self.count, 60)
        fresh = [message for message in messages if message.data not in self.seen]
        self.seen |= {message.data for message in fresh}
        return fresh[-1] if fresh else None

    def send(self, what: str, head: bytes):
        """The delivered message; checks that it has one header, and that it is segmilter's."""
        client = self.bed.smtp()
        client.envelope("a@sender.example", "alice@example.org")
        wire = head + b"\r\n" + BODY + b".\r\n"
        client.data(wire)
        client.quit()
        self.count += 1
        message = self.newest()
        if not self.checks.that(message is not None, f"{what}: delivered"):
            return None
        labels = message.labels()
        ours = len(labels) == 1 and labels[0].host == "mx1.example.org" and adds_up(labels[0], len(wire))
        self.checks.that(ours, f"{what}: one header of {len(labels)}, and its segments add up to the message")
        return message

    def placed(self, what: str, head: bytes, wanted: list[str]) -> None:
        message = self.send(what, head)
        if message:
            self.checks.that(names(message) == wanted, f"{what}: {names(message)}")


def in_one_session(bed: Bed, sender: Sender, checks: report.Checks) -> None:
    client = bed.smtp()
    for number in range(2):
        client.envelope("a@sender.example", "alice@example.org")
        client.data(FORGED + b"\r\n" + BODY + b".\r\n")
        sender.count += 1
        message = sender.newest()
        labels = message.labels()
        checks.that(len(labels) == 1 and labels[0].raw.startswith("X-Protocol-Pattern: mx1"),
                    f"message {number + 1} of a session: one header of {len(labels)}, with one blank after its colon")
        checks.that(names(message) == ["Received", "X-Protocol-Pattern", "Subject"], f"below Postfix's own Received: {names(message)}")
    client.quit()


def thousands(bed: Bed, sender: Sender, checks: report.Checks) -> None:
    began = time.monotonic()
    sender.send("4000 forged headers", ONE * 4000 + b"Subject: many\r\n")
    print(f"  {time.monotonic() - began:.1f} s until it was delivered")
    client = bed.smtp()
    client.envelope("a@sender.example", "alice@example.org")
    try:
        answer = client.data(ONE * 5000 + b"\r\n" + BODY + b".\r\n")
    except Refused as refused:
        answer = str(refused)
    checks.that(answer == "550 5.7.1 Too many X-Protocol-Pattern header fields", f"5000 are refused, in monitor mode: {answer}")
    client.envelope("a@sender.example", "alice@example.org")
    client.data(b"Subject: next\r\n\r\n" + BODY + b".\r\n")
    client.quit()
    sender.count += 1
    label = sender.newest().labels()[0]
    checks.that(adds_up(label, len(b"Subject: next\r\n\r\n" + BODY + b".\r\n")),
                "the next message of that session has a label of its own")


def main() -> int:
    checks = report.Checks()
    # A content filter's mail comes back over loopback and must not be taken for mail from outside.
    with Bed(Path(sys.argv[1]), tag="forge", services=BACK, settings={"exempt": {"loopback": False}}) as bed:
        sender = Sender(bed, checks)
        in_one_session(bed, sender, checks)
        thousands(bed, sender, checks)
        sent = b"Received: from x by y; now\r\n" + FORGED
        seen = ["Received", "X-Protocol-Pattern", "Received", "Subject"]
        bed.postfix.set(PREPEND)
        sender.placed("a policy service puts fields in front", sent, ["X-One", "X-Two", *seen])
        bed.postfix.set(f"{RULES} =")
        bed.postfix.set(HEADER_CHECK.format("PREPEND X-Check: 1"))
        sender.placed("a header check puts a field in front", sent, ["X-Check", *seen])
        bed.postfix.set(HEADER_CHECK.format("IGNORE"))
        sender.placed("a header check takes Received away", FORGED, ["Subject", "X-Protocol-Pattern"])
        bed.postfix.set("header_checks =")
        bed.postfix.set("content_filter = smtp:[127.0.0.1]:10026")
        message = sender.send("brought back by a content filter", FORGED)
        if message:
            place = names(message)[:3]
            checks.that(place == ["Received", "Received", "X-Protocol-Pattern"], f"it stays where it was: {place}")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
