#!/usr/bin/python3
"""No word of a message is written or logged: not at log level debug, not with evidence, not by a crash.

    no_content.py PROGRAM

Words that occur nowhere else are sent through the bed in a Subject, a body and an attachment's name, in clear and under STARTTLS.
Then the proxy and the filter are killed as by a crash, in the middle of such a message. The words may be in Postfix's queue and in the
mailbox, and in no other file below the test's folder. There must be no core file in a place where other programs leave one.
"""
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import Client, stuffed
from bed.testbed import Bed

WORDS = [b"Zaunkoenigsquittung", b"Brachvogelmemorandum", b"Kiebitzrechnung"]
MESSAGE = b"""From: a@sender.example\r
Subject: %s\r
Content-Disposition: attachment; filename=%s.pdf\r
\r
""" % (WORDS[0], WORDS[2]) + b"A line with the word %s in it.\r\n" % WORDS[1] * 400


def send(bed: Bed, tls: bool) -> None:
    client = bed.smtp()
    if tls:
        client.expect("STARTTLS", 220)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client._socket = context.wrap_socket(client._socket)
        client.expect("EHLO client.example", 250)
    client.envelope("a@sender.example", "alice@example.org")
    client.data(stuffed(MESSAGE), [200, 1000, 1448])
    client.quit()


def half(bed: Bed) -> Client:
    """A session that has sent half a message."""
    client = bed.smtp()
    client.envelope("a@sender.example", "alice@example.org")
    client.expect("DATA", 354)
    client.send(MESSAGE[:len(MESSAGE) // 2])
    return client


def in_memory(pid: int) -> bool:
    """True if the words are in a process's memory, which root may read."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            begin, stop = (int(word, 16) for word in span.split("-"))
            if not rights.startswith("rw"):
                continue
            memory.seek(begin)
            try:
                content = memory.read(stop - begin)
            except OSError:
                continue
            if any(word in content for word in WORDS):
                return True
    return False


def crash(checks: report.Checks, bed: Bed, word: str, number: signal.Signals) -> None:
    session = half(bed)
    pid = bed.segmilter.child(word)
    if word == "proxy":
        wait_until(lambda: in_memory(pid), 5, "the words in the proxy's memory")
        report.step("the words are in the proxy's memory: a core file would have them")
    os.kill(pid, number)
    wait_until(lambda: bed.segmilter.child(word) not in (0, pid), 10, f"a new {word}")
    checks.that(f"was killed by {number.name}" in bed.segmilter.log(), f"{word} killed by {number.name} in mid message")
    session.close()


def leaks(folder: Path, but: list[Path]) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not any(path.is_relative_to(place) for place in but):
            content = path.read_bytes()
            found += [f"{path}: {word.decode()}" for word in WORDS if word in content]
    return found


def cores(folder: Path) -> list[str]:
    return [str(path) for path in folder.glob("core*")]


def main() -> int:
    checks = report.Checks()
    program = Path(sys.argv[1]).resolve()
    # A folder in which a process of any user could leave a core file.
    with tempfile.TemporaryDirectory(prefix="segmilter-cwd-") as name:
        cwd = Path(name)
        cwd.chmod(0o777)
        os.chdir(cwd)
        try:
            return look(checks, program, cwd)
        finally:
            os.chdir("/")


def look(checks: report.Checks, program: Path, cwd: Path) -> int:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    subprocess.run(["sh", "-c", "ulimit -c unlimited; kill -ABRT $$"], check=False, stderr=subprocess.DEVNULL)
    if "/" not in pattern and not pattern.startswith("|"):
        checks.that(cores(cwd), f"a program that aborts leaves a core file here ({pattern})")
    else:
        print(f"  core files go elsewhere here: {pattern}")
    for path in cores(cwd):
        os.unlink(path)
    with Bed(program, {"log": {"level": "debug"}}, tag="words", tls=True) as bed:
        for tls in (False, True):
            send(bed, tls)
        messages = bed.postfix.wait_delivered("alice", 2, 10)
        labels = [label.pattern for message in messages for label in message.labels()]
        checks.that(len(labels) == 2 and "unobserved" not in labels, f"two messages are delivered and labelled: {labels}")
        checks.that(all(word in message.data for word in WORDS for message in messages), "with the words in them")
        wait_until(lambda: bed.segmilter.log().count("trace=") >= 2, 10, "traces in the log")
        report.step("traces are in the log, level debug")
        crash(checks, bed, "proxy", signal.SIGSEGV)
        crash(checks, bed, "proxy", signal.SIGABRT)
        crash(checks, bed, "filter", signal.SIGABRT)
        send(bed, False)

        postfix = [bed.postfix.root / "queue", bed.postfix.root / "mail"]
        everywhere = leaks(bed.root, [])
        checks.that(everywhere, f"the words are found where they may be: {len(everywhere)} times")
        found = leaks(bed.root, postfix)
        checks.that(not found, f"and in no other file {found or ''}")
        checks.that(not cores(cwd), f"no core file {cores(cwd) or ''}")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
