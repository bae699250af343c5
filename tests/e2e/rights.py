#!/usr/bin/python3
"""What the processes may still do once they serve: nothing that the mail does not need.

    rights.py PROGRAM

Started as root, and started as the systemd unit does, as an ordinary user with ambient capabilities under the
unit's own system call filter; proxy and wire observer. Then the milter's socket from a chrooted smtpd.
"""
import grp
import os
import pwd
import re
import signal
import sys
from pathlib import Path

from bed import report, sandbox
from bed.process import children, title, wait_until
from bed.segmilter import USER
from bed.testbed import Bed, need

UNIT = Path(__file__).resolve().parents[2] / "packaging/systemd/segmilter.service.in"
DESK = {"desk": {"listen": ["127.0.0.1:9125"]}}
FOUR = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def status(path: Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def look(checks: report.Checks, bed: Bed, how: str, bounds: int = 0, seccomp: str = "2") -> None:
    """Every thread of the supervisor and its children."""
    uid = str(pwd.getpwnam(USER).pw_uid)
    family = [bed.segmilter.process.pid, *children(bed.segmilter.process.pid)]
    checks.that(len(family) == 4, f"{how}: a supervisor and three children")
    for pid in family:
        name = re.sub(r".*\[(.*)\]", r"\1", title(pid))
        tasks = [status(task / "status") for task in Path(f"/proc/{pid}/task").iterdir()]
        wrong = {key: task[key] for task in tasks for key in FOUR if int(task[key], 16)}
        wrong |= {"CapBnd": task["CapBnd"] for task in tasks if int(task["CapBnd"], 16) & ~bounds}
        wrong |= {"Uid": task["Uid"] for task in tasks if set(task["Uid"].split()) != {uid}}
        wrong |= {"NoNewPrivs": task["NoNewPrivs"] for task in tasks if task["NoNewPrivs"] != "1"}
        wrong |= {"Seccomp": task["Seccomp"] for task in tasks if task["Seccomp"] != seccomp}
        cores = re.search(r"Max core file size\s+(\S+)\s+(\S+)", Path(f"/proc/{pid}/limits").read_text())
        if cores.groups() != ("0", "0"):
            wrong["core"] = cores.groups()
        # proc(5): what cannot be dumped belongs to root there, whoever it runs as.
        if os.stat(f"/proc/{pid}/environ").st_uid != 0:
            wrong["dumpable"] = "yes"
        checks.that(not wrong, f"{how}: {name}, {len(tasks)} threads: {USER}, no capability, no new privileges, seccomp "
                               f"{seccomp}, no core {wrong or ''}")


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
    """With a file to read, as the account that runs."""
    gaits = bed.root / "own.gait"
    gaits.write_text("# none yet\n")
    gaits.chmod(0o644)
    before = len(bed.segmilter.log())
    bed.segmilter.write({"gaits": {"files": [str(gaits)]}, **DESK})
    bed.segmilter.reload()
    wait_until(lambda: re.search("configuration reloaded|reload (refused|failed)", bed.segmilter.log()[before:]), 10,
               "the reload")
    words = bed.segmilter.log()[before:]
    checks.that("reload refused" not in words and "reload failed" not in words, f"{how}: a reload reads the gaits file")


def upgrade(bed: Bed) -> None:
    """USR2: the program is started anew in the same process, which has given its rights up already."""
    before = len(bed.segmilter.log())
    bed.segmilter.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: "ready: " in bed.segmilter.log()[before:], 20, "the upgrade")
    wait_until(lambda: len(children(bed.segmilter.process.pid)) == 3, 20, "the old children to go")


def restarted(bed: Bed, wrapper: list[str], settings: dict | None = None) -> None:
    bed.segmilter.stop()
    bed.segmilter.log_file.write_text("")
    os.chmod(bed.segmilter.log_file, 0o644)
    # Whoever started it before, the account has to find its own folders.
    for socket in (bed.segmilter.root / "evidence.sock", bed.segmilter.queue / "segmilter/milter.sock"):
        socket.unlink(missing_ok=True)
    bed.segmilter.wrapper = wrapper
    bed.segmilter.write({**DESK, **(settings or {})})
    bed.segmilter.start()


def bounds_of_unit() -> int:
    numbers = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_PERFMON": 38, "CAP_BPF": 39}
    return sum(1 << numbers[word] for word in sandbox.words(sandbox.settings(UNIT), "CapabilityBoundingSet"))


def of_observer(checks: report.Checks, program: Path, wire: bool) -> None:
    word = "wire" if wire else "proxy"
    with Bed(program, DESK, tag=f"rights{word}", way="wire" if wire else "listen") as bed:
        how = f"{word}, as root"
        look(checks, bed, how)
        mail(checks, bed, how, "asroot")
        reload(checks, bed, how)
        how = f"{word}, under the unit"
        restarted(bed, sandbox.command(UNIT, USER))
        # Emptying the bounding set takes CAP_SETPCAP, which the unit does not give.
        look(checks, bed, how, bounds=bounds_of_unit())
        mail(checks, bed, how, "ambient")
        reload(checks, bed, how)
        log = bed.segmilter.log()
        checks.that("warning" not in log and "error" not in log, f"{how}: not a warning in the log")
        socket = (bed.segmilter.queue / "segmilter/milter.sock").stat()
        checks.that(oct(socket.st_mode & 0o777) == "0o660" and grp.getgrnam("postfix").gr_gid == socket.st_gid,
                    f"{how}: the milter's socket has mode 0660 and the group postfix")
        if wire:
            return
        how = "proxy, under the unit, after an upgrade"
        upgrade(bed)
        look(checks, bed, how, bounds=bounds_of_unit())
        mail(checks, bed, how, "upgraded")
        how = "proxy, with CAP_SETPCAP too"
        restarted(bed, sandbox.command(UNIT, USER, ("setpcap",)))
        look(checks, bed, how)
        how = "proxy, general.seccomp = false"
        restarted(bed, [], {"general": {"seccomp": False}})
        look(checks, bed, how, seccomp="0")
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
    need("setpriv", "systemd-analyze")
    of_observer(checks, program, wire=False)
    of_observer(checks, program, wire=True)
    chrooted(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
