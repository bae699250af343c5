#!/usr/bin/python3
"""SIGHUP: a changed threshold acts on the next message; a broken file leaves the old settings.

    reload.py PROGRAM

A session that was open before the reload continues undisturbed. A hundred reloads while 20 sessions send make none of them fail.
"""
import subprocess
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import Refused
from bed.testbed import SERVER4, Bed

WEIGHTS = {"bot-template": 8.0}
MONITOR = {"policy": {"mode": "monitor", "reject": 4.0, "tempfail": "off", "quarantine": "off"},
           "weights": WEIGHTS}
ENFORCE = {"policy": {**MONITOR["policy"], "mode": "enforce"}, "weights": WEIGHTS}


def answer(bed: Bed, tag: str, wanted: str) -> str:
    """The server's reply to a bot's message; tried for a second, because a reload takes a moment."""
    for attempt in range(10):
        text = bed.talk("bot2", f"{tag}-{attempt}")
        if text.startswith(wanted):
            break
    return text


RELOADS, SESSIONS, MESSAGES = 100, 20, 2000


class Probe:
    """Runs sessions one after the other, from the greeting to QUIT, and remembers the longest. Without MAIL, because Postfix slows
    down a client whose transactions bring no message (in_flow_delay)."""

    def __init__(self, bed: Bed):
        self.longest, self.asked, self.failed, self._over = 0.0, 0, "", threading.Event()
        self._bed = bed
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                client = self._bed.smtp()
                client.quit()
            except (OSError, Refused) as error:
                self.failed = str(error)
            self.longest, self.asked = max(self.longest, time.monotonic() - began), self.asked + 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10)


def under_load(checks: report.Checks, bed: Bed) -> None:
    box = bed.postfix.mailbox("bob")
    log = len(bed.segmilter.log())
    quiet = Probe(bed)
    time.sleep(1)
    quiet.stop()
    probe = Probe(bed)
    source = subprocess.Popen(bed.link.client.command(
        "smtp-source", "-d", "-s", SESSIONS, "-m", MESSAGES, "-l", 5120, "-f", "load@sender.example", "-t", "bob@example.org",
        f"{SERVER4}:25"))
    done = 0
    while done < RELOADS:
        bed.segmilter.write(MONITOR if done % 2 else ENFORCE)
        bed.segmilter.hang_up()
        done += 1
        wait_until(lambda: bed.segmilter.log()[log:].count("is read, and each process receives it") == done, 5, "the reload", every=0.002)
    sending = source.poll() is None
    status = source.wait(120)
    probe.stop()
    bed.postfix.wait_delivered("bob", MESSAGES, 60)
    checks.that(status == 0 and box.count() == MESSAGES,
                f"{RELOADS} reloads{' while' if sending else ', most while'} {SESSIONS} sessions sent: none failed, "
                f"{box.count()} of {MESSAGES} delivered")
    checks.that(probe.asked > 10 and not probe.failed, f"of {probe.asked} sessions beside them none failed{probe.failed}; the "
                f"longest took {probe.longest * 1000:.0f} ms (without load and reloads: {quiet.longest * 1000:.0f} ms)")
    labelled = sum(len(message.labels()) == 1 and message.labels()[0].pattern != "unobserved" for message in box.messages())
    checks.that(labelled == MESSAGES, f"{labelled} of them labelled")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), MONITOR, tag="hup") as bed:
        text = bed.talk("bot2", "monitor")
        checks.that(text.startswith("250"), f"monitor: accepted ({text})")
        messages = bed.postfix.wait_delivered("alice", 1, 10)
        label = messages[0].labels()[0] if messages and messages[0].labels() else None
        print(f"  {label.raw if label else 'no header'}")
        checks.that(label and label.fields.get("action") == "none" and label.fields.get("would") == "reject",
                    "monitor: the header says action=none, would=reject")

        open_session = bed.smtp()
        family = {word: bed.segmilter.child(word) for word in ("proxy", "filter")}
        bed.segmilter.reload(ENFORCE)
        text = answer(bed, "enforce", "550")
        checks.that(text.startswith("550 5.7.1"), f"enforce, after HUP: {text}")

        open_session.envelope("a@sender.example", "alice@example.org")
        said = open_session.data(b"Subject: open\r\n\r\n" + b"text\r\n" * 400 + b".\r\n")
        checks.that("queued as" in said, f"a session opened before the reload goes on: {said}")
        open_session.quit()
        checks.that(family["proxy"] == bed.segmilter.child("proxy"), "the proxy is the same process")

        good = bed.segmilter.config.read_text()
        broken = good.replace("[policy]", "[policy]\nno_such_key = 1")
        bed.segmilter.config.write_text(broken)
        words = bed.segmilter.reload()
        line = 1 + broken[:broken.index("no_such_key")].count("\n")
        where = f"{bed.segmilter.config}:{line}"
        checks.that(where in words, f"a broken file is reported with file, line and key ({where})")
        print("  " + next((text for text in words.splitlines() if "no_such_key" in text), "")[:200])
        text = bed.talk("bot2", "still")
        checks.that(text.startswith("550 5.7.1"), f"the old settings still hold: {text}")
        bed.segmilter.config.write_text(good)
        under_load(checks, bed)
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
