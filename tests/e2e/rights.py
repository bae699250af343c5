#!/usr/bin/python3
"""What the processes are still permitted to do when they serve: nothing that mail does not need.

    rights.py PROGRAM

Started as root, with the proxy and with the wire observer. Then the milter's socket is used from a chrooted smtpd. systemd_unit.py
tests the start by systemd.
"""
import os
import pwd
import re
import sys
from pathlib import Path

from bed import report
from bed.process import title
from bed.rights import look
from bed.segmilter import USER
from bed.testbed import Bed

DESK = {"desk": {"listen": ["127.0.0.1:9125"]}}
UID = pwd.getpwnam(USER).pw_uid


def mail(checks: report.Checks, bed: Bed, how: str, tag: str) -> None:
    before = bed.postfix.mailbox("alice").count()
    text = bed.talk("bot2", tag)
    messages = bed.postfix.wait_delivered("alice", before + 1, 10)
    labels = [label for message in messages if tag in message.value("Message-Id") for label in message.labels()]
    fields = labels[0].fields if labels else {}
    seen = "wire" if bed.segmilter.observer == "wire" else None
    checks.that(text.startswith("250") and fields.get("pattern") == "bot-template" and fields.get("via") == seen,
                f"{how}: mail is labelled by what the kernel saw ({fields.get('pattern')}, via={fields.get('via', 'kernel')})")


def reload(checks: report.Checks, bed: Bed, how: str) -> None:
    """Tests a reload with a file of gaits, which the process has to read as its own account."""
    gaits = bed.root / "own.gait"
    gaits.write_text("# none yet\n")
    gaits.chmod(0o644)
    words = bed.segmilter.reload({"gaits": {"files": [str(gaits)]}, **DESK})
    checks.that("reload refused" not in words, f"{how}: a reload reads the gaits file")


def of_observer(checks: report.Checks, program: Path, wire: bool) -> None:
    word = "wire" if wire else "proxy"
    with Bed(program, DESK, tag=f"rights{word}", way="wire" if wire else "listen") as bed:
        how = f"{word}, as root"
        look(checks, how, bed.segmilter.process.pid, UID)
        mail(checks, bed, how, "asroot")
        reload(checks, bed, how)
        if wire:
            return
        how = "proxy, general.seccomp = false"
        bed.segmilter.stop()
        bed.segmilter.write({**DESK, "general": {"seccomp": False}})
        bed.segmilter.start()
        look(checks, how, bed.segmilter.process.pid, UID, seccomp="0")
        checks.that("general.seccomp is off" in bed.segmilter.log(), f"{how}: a warning in the log")


def chrooted(checks: report.Checks, program: Path) -> None:
    with Bed(program, tag="chroot") as bed:
        master = bed.postfix.conf / "master.cf"
        text, hits = re.subn(r"(?m)^(127\.0\.0\.1:10025 inet n +- +)n( .*smtpd)$", r"\1y\2", master.read_text())
        checks.that(hits == 1, "the example's smtpd on port 10025 is told to run in a chroot")
        master.write_text(text)
        bed.postfix._control("reload")
        session = bed.smtp()
        smtpd = [pid for pid in bed.link.server.pids() if "smtpd" in title(pid)]
        roots = {os.readlink(f"/proc/{pid}/root") for pid in smtpd}
        checks.that(roots == {str(bed.postfix.root / "queue")}, f"and does ({', '.join(roots)})")
        session.quit()
        mail(checks, bed, "from the chroot", "chroot")


def main() -> int:
    checks = report.Checks()
    program = Path(sys.argv[1])
    of_observer(checks, program, wire=False)
    of_observer(checks, program, wire=True)
    chrooted(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
