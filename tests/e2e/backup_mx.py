#!/usr/bin/python3
"""A backup MX seals its headers and the primary believes them: the files of examples/postfix/backup-mx, on two servers.

    backup_mx.py PROGRAM

    client ──► backup: segmilter, Postfix ──► primary: segmilter, Postfix ──► maildir

Then come the seals that must not be believed: from the backup's address with another header, another message, another key, no seal
or an old seal; and a valid seal that comes from another address.
"""
import re
import sys
import time
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import Client, stuffed
from bed.testbed import CLIENT4, PRIMARY4, SERVER4, Bed

FROM, TO = "bot@bot.example", "alice@example.org"
OLD, NEW = "old:" + "0123456789abcdef" * 4, "new:" + "fedcba9876543210" * 4
FORGED = "X-Protocol-Pattern: mx1.example.org; pattern=official-mta; score=-9; v=1"


def message(tag: str, header: str = "", subject: str = "You have won") -> bytes:
    """The message with `header` on top, where a relay puts it."""
    fields = ["Message-ID: <fixed@bot.example>", "From: Bot <bot@bot.example>", "Date: Wed, 25 Nov 2026 22:00:00 +0000",
              f"Subject: {subject}", f"X-Test-Id: {tag}"]
    top = header.replace("\r", "").replace("\n", "\r\n") + "\r\n" if header else ""
    return (top + "\r\n".join(fields) + "\r\n\r\n").encode() + b"text\r\n" * 500


# Forms of the four fields that two Postfixes pass on; each is a message's header except for X-Test-Id.
SHAPES = {
    "folded": b"Message-ID:\r\n <1@bot.example>\r\nFrom: Bot\r\n\t<bot@bot.example>\r\nSubject: one\r\n  two\t three  \r\n",
    "no blank": b"From:bot@bot.example\r\nSubject:text\r\nDate:Wed, 25 Nov 2026 22:00:00 +0000\r\n",
    "odd case": b"FROM: bot@bot.example\r\nsUBJECT: text\r\nMESSAGE-id: <2@bot.example>\r\n",
    "empty": b"From: bot@bot.example\r\nSubject:\r\n",
    "missing": b"X-Mailer: none\r\n",
    "twice": b"Subject: one\r\nFrom: a@bot.example\r\nSubject: two\r\nFrom: b@bot.example, c\r\n",
    "8 bit": "From: Jos\u00e9 <bot@bot.example>\r\nSubject: gr\u00fc\u00dfe \u4f60\u597d\r\n".encode(),
    "Latin 1": "Subject: gr\u00fc\u00dfe\r\n".encode("latin-1"),
    "encoded": b"From: =?utf-8?q?Jos=C3=A9?= <bot@bot.example>\r\nSubject: =?utf-8?b?Z3LDvMOfZQ==?=\r\n",
    "a short name": b"From: bot\r\nSubject: not an address\r\n",
    "comments": b"From: (a) bot (b) @ bot.example (c)\r\nSubject: x\r\n",
    "group": b"From: undisclosed: ;\r\nSubject: x\r\n",
    "990 in a line": b"Subject: " + b"x" * 980 + b"\r\n",
    "5000 in folds": b"Subject: " + b"\r\n ".join([b"word " * 15] * 66) + b"\r\n",
}


class Site:
    """Both servers, and ways to send to each."""

    def __init__(self, bed: Bed):
        self.bed = bed
        self.postfix, self.segmilter = bed.primary("backup-mx/primary", {"seal.keys": f"{OLD}\n{NEW}\n"})

    def send(self, tag: str, *, by: str = "backup", header: str = "", subject: str = "You have won"):
        """`by`: "backup" hands it to the backup; "relay" comes from the backup's address, "stranger" from the client's, to the
        primary. Returns what lies in the maildir, and what the primary's log says of it."""
        space = self.bed.link.server if by == "relay" else self.bed.link.client
        connection = space.socket()
        connection.settimeout(60)
        connection.connect((SERVER4 if by == "backup" else PRIMARY4, 25))
        client = Client(connection, name="bot.example")
        client.envelope(FROM, TO)
        content = message(tag, header, subject)
        at = content.index(subject.encode())
        log = len(self.segmilter.log())
        client.data(stuffed(content), [at, 8, 40], pause=0.02)
        client.quit()
        found = wait_until(lambda: self.find(tag), 20, f"{tag} in the primary's maildir")
        line = wait_until(lambda: re.search(r".*: message client=.*", self.segmilter.log()[log:]), 5, "the log line")
        return found, line.group(0)

    def send_raw(self, tag: str, head: bytes):
        """Sends the message unchanged to the backup; returns the same as send()."""
        client = self.bed.smtp(name="bot.example")
        client.envelope(FROM, TO)
        log = len(self.segmilter.log())
        client.data(stuffed(head + f"X-Test-Id: {tag}\r\n\r\n".encode() + b"text\r\n" * 500))
        client.quit()
        found = wait_until(lambda: self.find(tag), 20, f"{tag} in the primary's maildir")
        line = wait_until(lambda: re.search(r".*: message client=.*", self.segmilter.log()[log:]), 5, "the log line")
        return found, line.group(0)

    def find(self, tag: str):
        return next((one for one in self.postfix.mailbox("alice").messages() if one.value("X-Test-Id") == tag), None)


def believed(checks: report.Checks, site: Site) -> str:
    """Returns the header as it was delivered."""
    found, line = site.send("through")
    labels = found.labels()
    label = labels[0] if labels else None
    print(label.raw if label else "no header")
    checks.that(len(labels) == 1 and label.host == "mx2.example.org" and label.pattern == "bot-template",
                "the backup's header arrives, with what the backup saw of the client")
    checks.that("exempt=sealed" in line and "seal=good" in line and f"client={SERVER4}:" in line, f"the primary's log: {line}")
    checks.that(label and sum(label.segments or []) == len(stuffed(message("through"))),
                "its segments add up to the message that the client sent")
    forged, line = site.send("forged", header=FORGED)
    checks.that(len(forged.labels()) == 1 and forged.labels()[0].host == "mx2.example.org" and "seal=good" in line,
                "one that the client forges is deleted by the backup; the backup's own arrives")
    return label.raw


def refused(checks: report.Checks, site: Site, good: str) -> None:
    found, line = site.send("again", by="relay", header=good)
    checks.that(found.labels() and found.labels()[0].raw == good and "seal=good" in line,
                "the same header with the same message from the relay: believed (so the rows below fail for their reason)")
    score = re.sub(r"score=[^;]*", "score=-9.9", good)
    unsigned = re.sub(r"seal=[^;]*;\s*", "", good)
    rows = [("tampered", "wrong", score, {}),
            ("moved", "wrong", good, {"subject": "Another message"}),
            ("unsigned", "unsigned", unsigned, {}),
            ("nothing", "none", "", {}),
            ("cut", "malformed", re.sub(r"[0-9a-f]{8}; v=1", "; v=1", good), {}),
            ("stranger's key", "unknown-key", good.replace("seal=old,", "seal=ours,"), {})]
    for tag, reason, header, options in rows:
        if header == good and not options:
            raise RuntimeError(f"{tag}: the header was not changed")
        found, line = site.send(tag, by="relay", header=header, **options)
        checks.that(not found.labels() and f"seal={reason}" in line and "exempt=relay" in line,
                    f"{tag}: no header is left, the log says seal={reason}")
    found, line = site.send("two", by="relay", header=f"{FORGED}\n{good}\n{FORGED}")
    checks.that([one.raw for one in found.labels()] == [good] and "forged=2" in line,
                "a good one between two forged ones: it alone stays")
    found, line = site.send("outside", by="stranger", header=good)
    labels = found.labels()
    checks.that(len(labels) == 1 and labels[0].host == "mx1.example.org" and "seal=" not in line and f"client={CLIENT4}:" in line,
                "a good one from somebody else: deleted, and the message is judged here")


def shapes(checks: report.Checks, site: Site) -> None:
    for tag, head in SHAPES.items():
        found, line = site.send_raw(tag, head)
        checks.that("seal=good" in line and len(found.labels()) == 1, f"{tag}: {re.search('seal=[a-z-]*', line).group(0)}")
    # Postfix breaks lines of more than 998 bytes, even in the middle of a word: the text changes.
    found, line = site.send_raw("2000 in a line", b"Subject: " + b"x" * 2000 + b"\r\n")
    checks.that(not found.labels() and "seal=wrong" in line, "a line that Postfix breaks on its way: the seal does not hold")


def keys(checks: report.Checks, site: Site) -> None:
    backup = site.bed.segmilter
    backup.put("seal.keys", f"{NEW}\n{OLD}\n")
    backup.reload()
    found, line = site.send("new-key")
    checks.that("seal=new," in "".join(one.raw for one in found.labels()) and "seal=good" in line,
                "the backup signs with a new key that the primary has: believed")
    backup.put("seal.keys", "old:" + "5" * 64 + "\n")
    backup.reload()
    found, line = site.send("wrong-key")
    checks.that(not found.labels() and "seal=wrong" in line, "a key of a known name that is another: deleted")
    (backup.root / "seal.keys").chmod(0o644)
    words = backup.reload()
    checks.that("seal.key_file: " in words and "other users can read it" in words, "a key file that others may read is refused at the reload")


def age(checks: report.Checks, site: Site, good: str) -> None:
    site.segmilter.write({"seal": {"max_age": "1s"}})
    site.segmilter.reload()
    time.sleep(2)
    found, line = site.send("old", by="relay", header=good)
    checks.that(not found.labels() and "seal=too-old" in line, "a seal that is older than max_age: deleted")
    site.segmilter.reload()
    counters = re.findall(r".* counters .*", site.segmilter.log())
    checks.that(counters and f"sealed={5 + len(SHAPES)}" in counters[-1] and "seal_refused=8" in counters[-1],
                f"counters: {counters[-1] if counters else '-'}")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="bmx", way="backup-mx/backup", files={"seal.keys": f"{OLD}\n"}) as bed:
        site = Site(bed)
        good = believed(checks, site)
        refused(checks, site, good)
        shapes(checks, site)
        keys(checks, site)
        age(checks, site, good)
        if checks.failed:
            bed.show_logs()
            print(site.segmilter.log()[-6000:])
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
