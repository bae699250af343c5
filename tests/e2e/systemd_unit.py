#!/usr/bin/python3
"""The unit, its drop-in and the installed files under a real systemd, in the steps that a postmaster takes.

    systemd_unit.py PROGRAM      in its build folder, which is installed from there

A machine with systemd as process 1 and Debian's own Postfix units, in a network namespace, with the unchanged files of
examples/postfix/tproxy, transparent and wire. The test also tries, from within, what the unit's sandbox forbids.
"""
import json
import re
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from bed import report
from bed.link import Link
from bed.machine import Machine
from bed.mail import Mailbox
from bed.netns import fresh_tag
from bed.postfix import EXAMPLES, STOCK_MASTER
from bed.process import children, wait_until
from bed.rights import look
from bed.segmilter import READY
from bed.smtp import Client, stuffed
from bed.testbed import CLIENT4, check_machine, connect, need, stop_on_signals, talk

UNIT = "segmilter.service"
# The unit's CapabilityBoundingSet; only a process with CAP_SETPCAP could empty it.
BOUNDS = 1 << 10 | 1 << 12 | 1 << 13 | 1 << 38 | 1 << 39  # NET_BIND_SERVICE, NET_ADMIN, NET_RAW, PERFMON, BPF
FROM, TO = "sender@sender.example", "alice@example.org"


class House:
    """The machine, its link, and alice's mail."""

    def __init__(self, machine: Machine, link: Link):
        self.machine, self.link = machine, link
        self.box = Mailbox(machine.root / "var/mail/vhosts/alice")
        self.config = machine.root / "etc/segmilter/segmilter.toml"

    def put(self, way: str) -> None:
        """The example's files, and a desk."""
        for name, target in (("main.cf", "postfix"), ("master.cf", "postfix"), ("segmilter.toml", "segmilter")):
            source = EXAMPLES / way / name
            # If the example has no master.cf, Debian's own is used.
            shutil.copyfile(source if source.exists() else STOCK_MASTER, self.machine.root / "etc" / target / name)
        with open(self.config, "a", encoding="ascii") as file:
            file.write('\n[desk]\nlisten = ["127.0.0.1:9125"]\n')

    def drop_in(self, name: str, text: str) -> None:
        folder = self.machine.root / "etc/systemd/system" / f"{UNIT}.d"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        self.machine.systemctl("daemon-reload")

    def main_pid(self) -> int:
        return int(self.machine.show(UNIT, "MainPID"))

    def supervisor(self) -> int:
        """The pid of the same process, seen from outside."""
        return next(pid for pid in children(self.machine.init) if (Path(f"/proc/{pid}/cmdline").read_bytes().startswith(
            b"/usr/local/sbin/segmilter\0run")))

    def children(self) -> list[int]:
        return children(self.supervisor())

    def look(self, checks: report.Checks, how: str, bounds: int = BOUNDS) -> None:
        account = re.search(r"(?m)^segmilter:x:(\d+):", (self.machine.root / "etc/passwd").read_text())
        look(checks, how, self.supervisor(), int(account.group(1)), bounds)

    def restarts(self) -> int:
        return int(self.machine.show(UNIT, "NRestarts"))

    def active(self) -> bool:
        return self.machine.systemctl("is-active", UNIT, check=False) == "active"

    def label(self, tag: str) -> dict:
        """The label of a message that a bot sends now; {}: it has none, or was not accepted."""
        before = self.box.count()
        if not talk(self.link, "bot2", tag).startswith("250"):
            return {}
        wait_until(lambda: self.box.count() > before, 20, "delivery")
        message = next(one for one in self.box.messages() if tag in one.value("Message-Id"))
        labels = message.labels()
        return labels[0].fields if labels else {}

    def upgrade(self) -> None:
        """Sends USR2, and waits until another program serves."""
        ready, old = self.count(READY), set(self.children())
        self.machine.systemctl("kill", "-s", "USR2", "--kill-whom=main", UNIT)
        wait_until(lambda: self.count(READY) > ready and not old & set(self.children()), 20, "the new program")

    def count(self, words: str) -> int:
        return self.machine.journal(UNIT).count(words)


def labelled(checks: report.Checks, house: House, what: str, tag: str, via: str | None = None) -> None:
    fields = house.label(tag)
    checks.that(fields.get("pattern") == "bot-template" and fields.get("via") == via,
                f"{what}: mail is labelled {fields.get('pattern')}, via={fields.get('via', 'kernel')}")


def install(checks: report.Checks, house: House) -> None:
    report.step("install, start")
    machine = house.machine
    machine.run("systemd-sysusers")
    machine.run("systemd-tmpfiles", "--create", "segmilter.conf")
    house.put("tproxy")
    house.drop_in("tproxy.conf", (EXAMPLES / "tproxy/segmilter-tproxy.conf").read_text())
    machine.systemctl("start", "postfix", UNIT)
    checks.that(house.active() and "ready: proxy on 127.0.0.1:10024" in machine.journal(UNIT),
                f"systemctl start comes back when segmilter is ready: {machine.show(UNIT, 'StatusText')}")
    house.look(checks, "under the unit")
    labelled(checks, house, "from the first session on", "first")
    line = next((line for line in machine.journal().splitlines() if re.search(r"smtpd.*client=.*\[192\.0\.2\.7\]", line)), "")
    checks.that(CLIENT4 in line, f"Postfix knows the client: {line[-60:]}")
    rules = machine.run("nft", "list", "table", "inet", "segmilter", check=False).stdout
    checks.that("tproxy" in rules, "the drop-in has set the firewall's rules")
    done = machine.run("segmilter", "doctor", "--format", "json", check=False)
    boot = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "boot"]
    checks.that(len(boot) == 1 and boot[0]["state"] == "warn" and boot[0]["mend"] == ["systemctl enable segmilter"],
                f"it is not enabled yet, says the doctor: {boot}")
    machine.systemctl("enable", UNIT)
    done = machine.run("segmilter", "doctor", "--format", "json", check=False)
    bad = [f"{one['check']}: {one['found']}" for one in json.loads(done.stdout)["findings"] if one["state"] in ("warn", "FAIL")]
    checks.that(done.returncode == 0 and not bad, f"segmilter doctor, by the journal: no findings {bad or ''}")


def sandbox(checks: report.Checks, house: House) -> None:
    report.step("sandbox")
    machine, pid = house.machine, house.main_pid()

    def tried(*argv) -> str:
        done = machine.inside_of(pid, *argv, user="segmilter")
        return (done.stdout + done.stderr).strip() or "done"
    for path in ("/etc/x", "/usr/local/sbin/x", "/var/lib/x", "/var/spool/postfix/x", "/x"):
        words = tried("touch", path)
        checks.that("Read-only file system" in words, f"it may not write {path}: {words.splitlines()[-1]}")
    checks.that(tried("touch", "/var/spool/postfix/segmilter/x") == "done" == tried("touch", "/run/segmilter/x"),
                "but where its two sockets are")
    tried("rm", "/var/spool/postfix/segmilter/x", "/run/segmilter/x")
    words = tried("cat", "/home/secret")
    checks.that("of a user" not in words, f"it does not see /home: {words}")
    machine.run("touch", "/tmp/of-somebody-else")
    checks.that("of-somebody-else" not in tried("ls", "/tmp"), "nor another's /tmp")
    checks.that("No such file" in tried("ls", "/proc/1/cmdline") and "No such file" in tried("ls", "/proc/kmsg"),
                "nor other users' processes in /proc, nor what else lies there")
    devices = tried("ls", "/dev").split()
    checks.that("null" in devices and not {"mem", "kmsg", "sda", "vda", "loop0"} & set(devices), f"of devices it has {len(devices)}")
    socket = machine.run("stat", "-c", "%a %U %G", "/var/spool/postfix/segmilter/milter.sock").stdout.strip()
    checks.that(socket == "660 segmilter postfix", f"the milter's socket: {socket}")
    store = machine.run("stat", "-c", "%a %U", "/var/lib/segmilter").stdout.strip()
    checks.that(store == "750 segmilter", f"the folder of the store: {store}")
    folder = machine.run("stat", "-c", "%a %U", "/run/segmilter").stdout.strip()
    checks.that(folder == "755 segmilter", f"/run/segmilter is the unit's: {folder}")


def reload(checks: report.Checks, house: House) -> None:
    report.step("reload, upgrade")
    machine, good, pid = house.machine, house.config.read_text(), house.main_pid()
    (machine.root / "etc/segmilter/own.gait").write_text("# none yet\n")
    house.config.write_text(good + '\n[header]\nmax_runs = 2\n[gaits]\nfiles = ["/etc/segmilter/own.gait"]\n')
    machine.systemctl("reload", UNIT)
    wait_until(lambda: house.count("configuration reloaded") == 1, 10, "the reload")
    fields = house.label("reloaded")
    checks.that(re.search(r"\+\d+$", fields.get("segments", "")), f"systemctl reload: a setting has changed, a file of gaits was read: {fields.get('segments')}")
    house.config.write_text(good + "\n[nonsense]\n")
    refusal = machine.systemctl("reload", UNIT, check=False)
    line = house.config.read_text().splitlines().index("[nonsense]") + 1
    checks.that("failed" in refusal and house.count(f"segmilter.toml:{line}: ") == 1,
                f"with an error in the file, systemctl reload fails, and the journal names the line: {refusal}")
    checks.that(house.active() and house.main_pid() == pid, "it stays as it is, and active")
    machine.systemctl("kill", "-s", "HUP", "--kill-whom=main", UNIT)
    wait_until(lambda: house.count("reload refused") == 1, 10, "the refusal")
    checks.that(house.active() and house.main_pid() == pid, "the signal alone changes nothing either")
    house.config.write_text(good)
    machine.systemctl("reload", UNIT)
    wait_until(lambda: house.count("configuration reloaded") == 2, 10, "the reload")
    house.upgrade()
    checks.that(house.active() and house.main_pid() == pid and house.restarts() == 0 and machine.show(UNIT, "SubState") == "running",
                "USR2: another program under the same pid, and systemd takes it for the same service")
    house.look(checks, "after it")
    labelled(checks, house, "after it", "upgraded")


def deaths(checks: report.Checks, house: House) -> None:
    report.step("death, watchdog")
    machine = house.machine

    def back(how: str, seconds: float) -> None:
        before, ready, began = house.restarts(), house.count(READY), time.monotonic()
        machine.systemctl("kill", "-s", how, "--kill-whom=main", UNIT)
        wait_until(lambda: house.restarts() == before + 1 and house.count(READY) > ready and house.active(), seconds, "the restart")
        print(f"  back after {time.monotonic() - began:.1f} s")
    client = Client(connect(house.link))
    client.envelope(FROM, TO)
    client.expect("DATA", 354)
    client.send(b"Subject: x\r\n\r\n")
    back("KILL", 20)
    try:
        client.send(b"text\r\n.\r\n")
        answer = client.reply()
    except ConnectionError:
        answer = "cut"
    checks.that(answer == "cut", f"the supervisor is killed: systemd ends the rest with it (KillMode=mixed), a session in a message is {answer}")
    checks.that("tproxy" in machine.run("nft", "list", "table", "inet", "segmilter").stdout, "systemd starts it again, with its rules")
    labelled(checks, house, "after it", "killed")
    house.drop_in("more.conf", "# 30 s in the unit: too long for a test\n[Service]\nWatchdogSec=5s\n"
                  "AmbientCapabilities=CAP_SETPCAP\nCapabilityBoundingSet=CAP_SETPCAP\n")
    machine.systemctl("restart", UNIT)
    house.look(checks, "with CAP_SETPCAP too", bounds=0)
    time.sleep(7)
    checks.that(house.active() and house.count("Watchdog timeout") == 0, "it tells systemd in time that it is alive")
    back("STOP", 40)
    checks.that("Watchdog timeout" in machine.journal(UNIT), "the supervisor is stopped (SIGSTOP): the watchdog finds out")
    labelled(checks, house, "after it", "watched")


def stop(checks: report.Checks, house: House) -> None:
    report.step("stop")
    machine, client = house.machine, Client(connect(house.link))
    client.envelope(FROM, TO)
    client.expect("DATA", 354)
    client.send(b"Message-Id: <open@sender.example>\r\nX-Test-Id: open\r\nSubject: x\r\n\r\n")
    stopping = threading.Thread(target=lambda: machine.systemctl("stop", UNIT), daemon=True)
    stopping.start()
    wait_until(lambda: house.count("draining") > 0 and machine.systemctl("is-active", UNIT, check=False) == "deactivating", 10, "the drain")
    pattern = house.label("meanwhile").get("pattern")
    checks.that(pattern == "unobserved", f"systemctl stop: a new session is Postfix's own already, and {pattern}")
    client.send(stuffed(b"text\r\n" * 500))
    code, text = client.reply()
    stopping.join(30)
    checks.that(code == 250 and not stopping.is_alive(), f"a session in a message finishes it ({code} {text}), then segmilter ends")
    checks.that(machine.show(UNIT, "Result") == "success" and machine.systemctl("is-active", UNIT, check=False) == "inactive",
                "and systemd reports no failure")
    left = machine.run("nft", "list", "ruleset").stdout + machine.run("ip", "rule").stdout
    checks.that("segmilter" not in left and "0x736d" not in left, "the drop-in has taken its rules away")


def transparent(checks: report.Checks, house: House) -> None:
    report.step("transparent")
    machine = house.machine
    (machine.root / "etc/systemd/system" / f"{UNIT}.d/tproxy.conf").unlink()
    house.put("transparent")
    house.drop_in("transparent.conf", (EXAMPLES / "transparent/segmilter-transparent.conf").read_text())
    machine.systemctl("restart", "postfix", UNIT)
    house.look(checks, "the example transparent under the same unit")
    labelled(checks, house, "the example transparent under the same unit", "transparent")
    done = machine.run("segmilter", "doctor", "--format", "json", check=False)
    bad = [f"{one['check']}: {one['found']}" for one in json.loads(done.stdout)["findings"] if one["state"] == "FAIL"]
    checks.that(done.returncode == 0 and not bad, f"segmilter doctor: no findings {bad or ''}")
    house.upgrade()
    house.look(checks, "after USR2")
    labelled(checks, house, "after USR2", "transparent-upgraded")
    machine.systemctl("stop", UNIT)
    left = "".join(machine.run("ip", family, "rule").stdout for family in ("-4", "-6")) + machine.run("nft", "list", "ruleset").stdout
    checks.that("segmilter" not in left and "29549" not in left, "stopped, it has taken its rules away")
    (machine.root / "etc/systemd/system" / f"{UNIT}.d/transparent.conf").unlink()


def wire(checks: report.Checks, house: House) -> None:
    report.step("wire")
    machine = house.machine
    house.put("wire")
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "postfix", UNIT)
    house.look(checks, "the example wire under the same unit")
    labelled(checks, house, "the example wire under the same unit", "wired", "wire")


def main() -> int:
    checks, program = report.Checks(), Path(sys.argv[1]).resolve()
    need("cmake", "unshare", "nsenter", "setpriv", "journalctl", "systemctl")
    check_machine()
    stop_on_signals()
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="segmilter-bed-"))
        root.chmod(0o755)
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        link = Link(fresh_tag("unit"))
        stack.callback(link.delete)
        machine = Machine(link.server, root / "machine", program.parent)
        stack.callback(machine.stop)
        machine.start()
        house = House(machine, link)
        try:
            for part in (install, sandbox, reload, deaths, stop, transparent, wire):
                part(checks, house)
            words = re.findall(r".*segmilter/\w+\[\d+\] (?:warning|error): .*", machine.journal(UNIT))
            strange = [line for line in words if "reload refused" not in line]
            checks.that(not strange, f"the journal has warnings only about what this test broke {strange or ''}")
        finally:
            if checks.failed or sys.exc_info()[0]:
                print(machine.journal()[-6000:], file=sys.stderr)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
