"""What the tests of the package share: the machine with its Postfix, the mail that is sent to it, and the upgrade while mail arrives."""
import re
import shutil
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bed import postfix, report
from bed.link import SERVER4, Link
from bed.mail import Mailbox
from bed.netns import fresh_tag
from bed.process import wait_until
from bed.segmilter import READY
from bed.testbed import talk

from debian_machine import DebianMachine, make_base
from repack import repacked

SOURCE = Path(__file__).resolve().parents[2]
UNIT = "segmilter.service"
CONFIG = "etc/segmilter/segmilter.toml"
MOST = {"first label": 3, "tested enforce": 30}  # minutes
SESSIONS = 20


def instructions() -> dict[str, list[str]]:
    """The commands of README.Debian by the heading above them."""
    found, heading = {}, ""
    lines = (SOURCE / "packaging/debian/README.Debian").read_text().splitlines()
    for line, after in zip(lines, lines[1:] + [""]):
        if re.fullmatch("-+", after):
            heading = line
        elif line.startswith("    "):
            found.setdefault(heading, []).append(line.strip())
    return found


class Clock:
    """How long each step took."""

    def __init__(self):
        self.rows, self._began = [], time.monotonic()

    def stop(self, step: str) -> float:
        seconds = time.monotonic() - self._began
        self.rows.append([step, f"{seconds:.0f} s"])
        self._began = time.monotonic()
        return seconds

    def start(self) -> None:
        self._began = time.monotonic()


class House:
    """The machine, its link, and alice's mail."""

    def __init__(self, machine: DebianMachine, link: Link, root: Path):
        self.machine, self.link, self.root = machine, link, root
        self.box = Mailbox(machine.root / "home/alice/Maildir")
        self.config = machine.root / CONFIG
        self.steps = instructions()

    def mail_server(self) -> None:
        """What the postmaster has already: Debian's Postfix, and a user with mail."""
        machine = self.machine
        machine.online("sh", "-c", "printf 'postfix postfix/main_mailer_type select Internet Site\\n"
                       "postfix postfix/mailname string mx1.example.org\\n' | debconf-set-selections")
        machine.apt("update")
        machine.apt("install", "postfix")
        machine.shell("useradd --create-home --shell /bin/sh alice")
        machine.shell("postconf -e 'mydestination = example.org, localhost' 'home_mailbox = Maildir/' 'smtpd_peername_lookup = no'")
        machine.systemctl("restart", "postfix")

    def follow(self, heading: str) -> None:
        for line in self.steps[heading]:
            print(f"  # {line}", flush=True)
            output = self.machine.shell(line)
            if line == "segmilter doctor":
                print("".join(f"    {row}\n" for row in output.splitlines()), end="", flush=True)

    def put(self, deb: Path) -> str:
        """The package installed or upgraded by apt; what apt prints."""
        shutil.copyfile(deb, self.machine.root / "root" / deb.name)
        return self.machine.apt("install", f"/root/{deb.name}")

    def label(self, tag: str, checks: report.Checks) -> dict:
        """The label of a bot's message that is sent now; {}: none."""
        answer = talk(self.link, "bot2", tag)
        if not checks.that(answer.startswith("250"), f"a message is accepted: {answer}"):
            return {}
        message = wait_until(lambda: next((one for one in self.box.messages() if tag in one.value("Message-Id")), None), 20, "delivery")
        labels = message.labels()
        return labels[0].fields if labels else {}

    def labelled(self, checks: report.Checks, what: str, tag: str, via: str | None = None) -> None:
        fields = self.label(tag, checks)
        checks.that(fields.get("pattern") == "bot-template" and fields.get("via") == via,
                    f"{what}: mail is labelled {fields.get('pattern')}, via={fields.get('via', 'kernel')}")

    def state(self, word: str) -> str:
        return self.machine.systemctl(word, UNIT, check=False)

    def pid(self) -> int:
        return int(self.machine.show(UNIT, "MainPID"))

    def parts(self) -> set[int]:
        """The processes below the supervisor."""
        return set(map(int, self.machine.shell(f"cat /proc/{self.pid()}/task/*/children").split()))

    def count(self, words: str) -> int:
        return self.machine.journal(UNIT).count(words)


class Load(threading.Thread):
    """Hands messages to a Postfix in the client's namespace, a hundred at a time, until stop()."""

    def __init__(self, link: Link):
        super().__init__(daemon=True)
        self.link, self.handed, self._enough = link, 0, threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            self.link.client.run("smtp-source", "-s", SESSIONS, "-m", 100, "-l", 20_000, "-f", "load@sender.example",
                                 "-t", "alice@example.org", "127.0.0.1:2525")
            self.handed += 100

    def stop(self) -> None:
        self._enough.set()
        self.join()


def upgrade_under_load(checks: report.Checks, house: House, clock: Clock, deb: Path) -> None:
    report.step(f"upgrade while {SESSIONS} sessions send")
    newer, pid, old = repacked(deb, "upgrade1"), house.pid(), house.parts()
    ready = house.count(READY)
    sender = postfix.sender(house.link.client, house.root / "sender", SERVER4)
    try:
        sender.start()
        before, load = house.box.count(), Load(house.link)
        load.start()
        wait_until(lambda: house.box.count() > before + 100, 60, "messages")
        clock.start()
        said = house.put(newer)
        wait_until(lambda: house.count(READY) > ready and not old & house.parts(), 30, "the new program")
        clock.stop("upgrade under load")
        then = house.box.count()
        wait_until(lambda: house.box.count() > then + 100, 60, "messages by the new program")
        load.stop()
        wait_until(lambda: not sender.queued(), 120, "the sending Postfix to get rid of its mail", every=0.5)
        wait_until(lambda: house.box.count() - before >= load.handed, 60, "delivery", every=0.5)
        ids = Counter(message.value("Message-Id") for message in house.box.messages() if "load@sender.example" in message.value("Return-Path"))
        log = sender.log()
    finally:
        sender.stop()
    checks.that(len(ids) == load.handed and max(ids.values()) == 1, f"each of {load.handed} messages was delivered once ({len(ids)}, at most "
                f"{max(ids.values())} times), {then - before} of them before the new program was ready and {load.handed - then + before} after")
    checks.that("Connection refused" not in log and "status=bounced" not in log, "no connection refused, nothing bounced; "
                f"{log.count('status=deferred')} waited for the next attempt")
    checks.that(house.pid() == pid and house.machine.show(UNIT, "NRestarts") == "0" and house.state("is-active") == "active",
                "the new program has the old one's pid, and systemd has not restarted it")
    checks.that("unit has changed" not in said and "refuses" not in said, "the package prints no warning")
    house.labelled(checks, "after the upgrade", "upgraded")


def fresh_house(stack: ExitStack, folder: Path, base: Path, mirror: str) -> House:
    """A copy of `base`, which is made first if it is not there, started and with Postfix. `stack` ends it."""
    if not base.exists():
        report.step("a fresh Debian 12 (debootstrap)")
        make_base(base, mirror)
    link = Link(fresh_tag("package"))
    stack.callback(link.delete)
    machine = DebianMachine(link.server, folder / "machine", base)
    stack.callback(machine.stop)
    report.step("a machine with systemd and Postfix")
    machine.start()
    house = House(machine, link, folder)
    house.mail_server()
    return house
