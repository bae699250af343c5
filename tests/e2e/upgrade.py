#!/usr/bin/python3
"""USR2: another program takes over the sockets and the kernel filters; no client is refused, and open sessions continue.

    upgrade.py PROGRAM

A real Postfix sends over 20 sessions while the program's file is replaced and the new program takes over, ten times. A session in a
transaction finishes it in the old process; a session under TLS continues there up to proxy.drain_timeout. A program that cannot
take over is refused, and everything stays as it was. The same is tested with the milter's socket on a TCP port; there also HUP, and
a filter that is killed.
"""
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bed import report
from bed.process import alive, wait_until
from bed.smtp import stuffed
from bed.testbed import Bed
from under_tls import context

MESSAGES, SESSIONS, UPGRADES = 600, 20, 10
FROM, TO = "sender@sender.example", "bob@example.org"
BODY = b"text of a message\r\n" * 700


def replace(bed: Bed, program: Path) -> None:
    """Installs a new file at the old path, as a package does."""
    fresh = bed.program.with_suffix(".new")
    shutil.copy(program, fresh)
    fresh.rename(bed.program)


def upgrade(bed: Bed) -> None:
    old = {word: bed.segmilter.child(word) for word in ("proxy", "filter")}
    bed.segmilter.upgrade()
    if any(bed.segmilter.child(word) in (0, pid) for word, pid in old.items()):
        raise RuntimeError("the children are the old ones")


def refused(checks: report.Checks, bed: Bed, what: str, wanted: str) -> None:
    before, proxy = len(bed.segmilter.log()), bed.segmilter.child("proxy")
    bed.segmilter.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: "upgrade refused" in bed.segmilter.log()[before:], 15, "a refusal")
    line = next(line for line in bed.segmilter.log()[before:].splitlines() if "upgrade refused" in line)
    checks.that(wanted in line and bed.segmilter.child("proxy") == proxy, f"{what}: {line.split('error: ')[-1]}")


def begin(bed: Bed, tls: bool):
    client = bed.smtp()
    if tls:
        client.expect("STARTTLS", 220)
        client._socket = context().wrap_socket(client._socket)
        client.command("EHLO client.example")
    return client


def under_load(checks: report.Checks, bed: Bed, program: Path) -> None:
    sender = bed.sender_postfix()
    box = bed.postfix.mailbox("alice")
    source = subprocess.Popen(bed.link.client.command(
        "smtp-source", "-s", SESSIONS, "-m", MESSAGES, "-l", 20_000, "-f", "load@sender.example",
        "-t", "alice@example.org", "127.0.0.1:2525"))
    pid, longest = bed.segmilter.process.pid, 0.0
    for number in range(UPGRADES):
        wait_until(lambda: box.count() >= number * MESSAGES // 2 // UPGRADES, 60, "messages", every=0.005)
        replace(bed, program)
        began = time.monotonic()
        upgrade(bed)
        client = bed.smtp()
        longest = max(longest, time.monotonic() - began)
        client.quit()
    source.wait(60)
    wait_until(lambda: not sender.queued(), 120, "the sending Postfix to get rid of its mail", every=0.2)
    wait_until(lambda: not bed.postfix.queued(), 60, "delivery", every=0.2)
    ids = Counter(message.value("Message-Id") for message in box.messages())
    log = sender.log()
    checks.that(len(ids) == MESSAGES and not log.count("status=bounced"), f"{UPGRADES} upgrades while {SESSIONS} sessions send: "
                f"{len(ids)} of {MESSAGES} delivered, none bounced")
    checks.that(max(ids.values()) == 1, "none twice")
    checks.that("Connection refused" not in log, f"no connection refused; {log.count('status=deferred')} messages waited for the "
                "next attempt because their session was told 421")
    checks.that(bed.segmilter.process.poll() is None and bed.segmilter.process.pid == pid, "the supervisor has its old pid")
    print(f"  from the signal to the greeting of a session that begins then: at most {longest * 1000:.0f} ms")


def open_sessions(checks: report.Checks, bed: Bed) -> None:
    old = bed.segmilter.child("proxy")
    transaction, sealed, idle = begin(bed, False), begin(bed, True), begin(bed, False)
    transaction.envelope(FROM, TO)
    transaction.expect("DATA", 354)
    transaction.send(b"X-Test-Id: transaction\r\nSubject: x\r\n\r\n")
    upgrade(bed)
    code, text = idle.reply()
    checks.that(code == 421, f"a session between two transactions: {code} {text}")
    transaction.send(stuffed(BODY))
    checks.that(transaction.reply()[0] == 250, "a session in a message finishes it")
    sealed.envelope(FROM, TO)
    sealed.data(stuffed(b"X-Test-Id: sealed\r\nSubject: x\r\n\r\n" + BODY))
    sealed.quit()
    wait_until(lambda: not alive(old), 10, "the old proxy to end")
    checks.that(True, "a session under TLS goes on, and the old proxy ends with it")
    client = begin(bed, True)
    client.envelope(FROM, TO)
    client.data(stuffed(b"X-Test-Id: after\r\nSubject: x\r\n\r\n" + BODY))
    client.quit()
    labels = {message.value("X-Test-Id"): message.labels()[0] for message in bed.postfix.wait_delivered("bob", 3, 10)
              if message.labels()}
    after = labels.get("after")
    checks.that(after and after.pattern == "official-mta" and "via" not in after.fields,
                f"after it the kernel filter sees as before: {after and after.raw.splitlines()[0]}")

    began = time.monotonic()
    stays = begin(bed, True)
    old = bed.segmilter.child("proxy")
    upgrade(bed)
    wait_until(lambda: not alive(old), 20, "the old proxy's deadline")
    checks.that(time.monotonic() - began > 4, f"a session that stays is cut at the deadline, after {time.monotonic() - began:.1f} s")
    stays.close()


OVER_TCP = {"filter": {"socket": "inet:8890@127.0.0.1"}}


def labelled(checks: report.Checks, bed: Bed, what: str) -> None:
    """A message of a new session has its label."""
    number = bed.postfix.mailbox("bob").count() + 1
    client = bed.smtp()
    client.envelope(FROM, TO)
    client.data(stuffed(b"Subject: x\r\n\r\n" + BODY))
    client.quit()
    messages = bed.postfix.wait_delivered("bob", number, 10)
    labels = messages[-1].labels() if messages else []
    checks.that(len(labels) == 1 and labels[0].pattern == "official-mta", f"over TCP, {what}: {labels and labels[0].pattern}")


def over_tcp(checks: report.Checks, program: Path) -> None:
    with Bed(program, OVER_TCP, tag="uptcp") as bed:
        bed.postfix.set("smtpd_milters = { inet:127.0.0.1:8890, default_action=accept, connect_timeout=2s, command_timeout=5s }")
        labelled(checks, bed, "as started")
        for number in range(3):
            stays = begin(bed, False)  # has its connection to the old filter
            stays.envelope(FROM, "alice@example.org")
            stays.expect("DATA", 354)
            replace(bed, program)
            upgrade(bed)
            labelled(checks, bed, f"after upgrade {number + 1}")
            stays.send(stuffed(b"Subject: open\r\n\r\n" + BODY))
            checks.that(stays.reply()[0] == 250, "a session in a message finishes it")
            stays.close()
        bed.segmilter.reload(OVER_TCP)
        labelled(checks, bed, "after HUP")
        old = bed.segmilter.child("filter")
        held = begin(bed, False)
        held.envelope(FROM, "alice@example.org")  # the killed filter has a connection on that port
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: bed.segmilter.child("filter") not in (0, old) and bed.segmilter._ready(), 10, "a new filter")
        labelled(checks, bed, "after kill -9 of the filter")
        held.data(stuffed(b"Subject: held\r\n\r\n" + BODY))
        held.quit()
        status = bed.segmilter.stop()
        checks.that(status == 0, f"over TCP, stopped: {status}")
        if checks.failed:
            bed.show_logs()


def main() -> int:
    checks = report.Checks()
    program = Path(sys.argv[1]).resolve()
    with Bed(program, {"proxy": {"max_sessions_per_address": 200, "drain_timeout": "5s"}}, tag="upgr", tls=True) as bed:
        open_sessions(checks, bed)
        under_load(checks, bed, program)
        good = bed.segmilter.config.read_text()
        bed.segmilter.config.write_text(good.replace('"0.0.0.0:25"', '"0.0.0.0:26"'))
        refused(checks, bed, "another port", "needs a restart: proxy.listen")
        bed.segmilter.config.write_text(good.replace("[policy]", "[policy]\nno_such_key = 1"))
        refused(checks, bed, "a broken configuration", "no_such_key")
        bed.segmilter.config.write_text(good)
        bed.program.unlink()
        refused(checks, bed, "no program", "start ")
        shutil.copy("/bin/false", bed.program)
        refused(checks, bed, "another program", "exit code 1")
        if checks.failed:
            bed.show_logs()
    over_tcp(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
