#!/usr/bin/python3
"""From a capture of mail to a gait of your own: each step of README.md, with a program that segmilter does not know.

    learn.py PROGRAM [--check]

Started by `run`, which installs and builds first. The network, Postfix and segmilter are those of the end-to-end tests
(tests/e2e/bed); tcpdump on the router captures. --check compares the learned entry with that in README.md beside this file.
"""
import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/e2e"))
from bed import report  # noqa: E402
from bed.link import Condition  # noqa: E402
from bed.testbed import SERVER4, Bed, Missing, run_as  # noqa: E402

TO, FROM = "alice@example.org", "sender@sender.example"
NAME = "order-system"
TAUGHT, LATER = (3000, 6000, 9000, 14000, 20000, 40000), (2500, 5000, 12000, 30000, 60000)
SMALL = Condition(mss=1000)
SMTPLIB = """
import smtplib, sys
session = smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=60)
for size in (3000, 20000):
    session.sendmail(sys.argv[3], [sys.argv[4]], "Subject: another program\\r\\n\\r\\n" + "a line of its text\\r\\n" * (size // 20))
session.quit()
"""


class Lesson:
    def __init__(self, bed: Bed):
        self.bed, self.checks = bed, report.Checks()
        self.entry = bed.root / f"{NAME}.gait"
        self.config = bed.root / "gaits.toml"

    def run(self, *argv) -> str:
        """Runs segmilter, and prints the command as one would type it."""
        print(f"\n$ segmilter {' '.join(word.name if isinstance(word, Path) else word for word in argv)}", flush=True)
        done = subprocess.run([self.bed.program, *map(str, argv)], capture_output=True, text=True)
        print("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()[:12]), end="", flush=True)
        if done.returncode:
            raise RuntimeError(f"segmilter {argv[0]}: status {done.returncode}: {done.stderr}")
        return done.stdout

    def capture(self, name: str, send) -> Path:
        """What passes the router while send() sends."""
        folder = self.bed.root / "captures"
        folder.mkdir(exist_ok=True)
        with self.bed.capture(name) as finish:
            send()
            finish()
            return Path(shutil.copy(self.bed.root / f"{name}.pcap", folder))

    def orders(self, sizes) -> None:
        for size in sizes:
            self.bed.link.client.run("/usr/bin/python3", HERE / "order_system.py", str(size), SERVER4, TO)

    def others(self) -> None:
        """A real Postfix, Python's smtplib, and a bot that writes its header apart as well."""
        for host, port in (("127.0.0.1", "2525"), (SERVER4, "25")):
            self.bed.link.client.run("/usr/bin/python3", "-c", SMTPLIB, host, port, FROM, TO)
        self.bed.talk("bot1", "bot1")
        self.bed.postfix.wait_delivered("alice", len(TAUGHT) + len(LATER) + 5)

    def names(self, capture: Path) -> list[str]:
        """The gait of each message, with the entry in use."""
        command = ("classify", "--format", "jsonl", *(("-c", self.config) if self.config.exists() else ()), capture)
        done = subprocess.run([self.bed.program, *map(str, command)], capture_output=True, text=True, check=True)
        found = [json.loads(line)["gait"] for line in done.stdout.splitlines()]
        print(f"    {capture.name}: {', '.join(found)}", flush=True)
        return found

    def learn(self) -> str:
        report.step("1. a capture of the messages of that program alone")
        taught = self.capture("taught", lambda: self.orders(TAUGHT))
        report.step("2. does the book know it?")
        self.run("classify", taught)
        self.checks.that(self.names(taught) == ["unknown"] * len(TAUGHT), "the book has no name for it")
        report.step("3. an entry")
        entry = self.run("gait", "--learn", NAME, taught)
        report.step("4. what a person knows about it")
        self.entry.write_text(entry.replace("class library", "class script"))
        report.step("5. the entry in use")
        self.config.write_text(f'[gaits]\nfiles = ["{self.entry}"]\n')
        self.checks.that(f"{NAME} " in self.run("gait", "--list", "-c", self.config), "the book has it")
        return entry

    def use(self) -> None:
        report.step("6. other messages, also over another link, and other programs")
        later = self.capture("later", lambda: self.orders(LATER[:3]))
        self.bed.link.set(SMALL)
        elsewhere = self.capture("elsewhere", lambda: self.orders(LATER[3:]))
        self.bed.link.set(Condition())
        others = self.capture("others", self.others)
        self.checks.that(self.names(later) == [NAME] * 3 and self.names(elsewhere) == [NAME] * 2, "its other messages are named")
        self.checks.that(sorted(self.names(others)) == ["postfix", "postfix", "py-smtplib", "py-smtplib", "unknown"],
                         "Postfix and smtplib have their own names, and a bot that writes its header apart has none")

    def live(self) -> None:
        report.step("7. the running service")
        self.bed.segmilter.put(self.entry.name, self.entry.read_text())
        self.bed.segmilter.reload({"gaits": {"files": [str(self.bed.segmilter.root / self.entry.name)]}})
        before = {one.data for one in self.bed.postfix.mailbox("alice").messages()}
        self.orders((7000,))
        self.bed.postfix.wait_delivered("alice", len(before) + 1)
        fresh = [one for one in self.bed.postfix.mailbox("alice").messages() if one.data not in before]
        labels = fresh[0].labels() if fresh else []
        print("".join(f"    {line}\n" for label in labels for line in label.raw.splitlines()), end="")
        self.checks.that([label.fields["gait"] for label in labels] == [NAME], "the header field names it")


def check_text(lesson: Lesson, entry: str) -> None:
    block = "".join(f"       {line}\n" for line in entry.splitlines())  # code in a list
    lesson.checks.that(f"\n{block}\n" in (HERE / "README.md").read_text(), "README.md has this entry")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program", type=Path)
    options.add_argument("--check", action="store_true")
    chosen = options.parse_args()
    if not chosen.program.exists():
        raise Missing(f"{chosen.program} is not there: run examples/learn/run without --no-build")
    with Bed(chosen.program, tag="learn") as bed:
        bed.sender_postfix()
        lesson = Lesson(bed)
        entry = lesson.learn()
        lesson.use()
        lesson.live()
        if chosen.check:
            check_text(lesson, entry)
        return lesson.checks.finish()


if __name__ == "__main__":
    run_as("learn", main)
