"""The whole bed in one context manager: link, Postfix, segmilter, tcpdump."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import mta, postfix
from .link import CLIENT4, CLIENT6, PRIMARY4, SERVER4, SERVER6, Link
from .netns import fresh_tag, sweep
from .pcap import Capture
from .process import end, end_pids, wait_until
from .segmilter import Segmilter
from .smtp import Client

TALK_SENDER = Path(__file__).resolve().parents[3] / "examples/quickstart/talk_sender.py"
DIRECT_PORT = 2525  # an smtpd of the same Postfix without the proxy before it, for comparison


class Missing(Exception):
    """The machine lacks something that the bed needs; the text says what it is and what to do."""


def need(*tools: str, install: str = "test") -> None:
    absent = [tool for tool in tools if not shutil.which(tool)]
    if absent:
        raise Missing(f"not installed: {', '.join(absent)} (run packaging/install-packages {install})")


def run_as(name: str, main) -> None:
    """Ends this process with the status of main(); 69: the machine lacks something, and a line says what; 130: Ctrl-C."""
    try:
        sys.exit(main())
    except Missing as missing:
        print(f"{name}: {missing}", file=sys.stderr)
        sys.exit(69)
    except KeyboardInterrupt:
        sys.exit(130)


def check_machine() -> None:
    """Raises Missing with one plain sentence about the first missing thing."""
    if os.geteuid() != 0:
        raise Missing("this needs root: it makes network namespaces (run it as root)")
    need("ip", "nft", "tc", "ethtool", "ss", "nsenter", "tcpdump", "postfix", "swaks", "curl", "msmtp")
    sweep()
    probe = subprocess.run(["ip", "netns", "add", fresh_tag("probe")], capture_output=True, text=True)
    if probe.returncode != 0:
        raise Missing("this kernel or container does not let us make network namespaces: "
                      + probe.stderr.strip())
    subprocess.run(["ip", "netns", "del", fresh_tag("probe")], check=False)


def stop_on_signals() -> None:
    """TERM and HUP unwind the stack like Ctrl-C, so that everything is cleaned up."""
    def leave(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def connect(link: Link, port: int = 25, v6: bool = False, source: str = "") -> socket.socket:
    """A new connection from the client (from `source`, one of its addresses) to the server."""
    family, server = (socket.AF_INET6, SERVER6) if v6 else (socket.AF_INET, SERVER4)
    connection = link.client.socket(family)
    connection.settimeout(60)
    if source:
        connection.bind((source, 0))
    connection.connect((server, port))
    return connection


def talk(link: Link, role: str, tag: str) -> str:
    """Sends to port 25 of the server as the quickstart's talk_sender.py does; returns the answer to the message."""
    done = link.client.run("/usr/bin/python3", TALK_SENDER, role, SERVER4, "alice@example.org", tag,
                           stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip()


@contextmanager
def uninterrupted():
    """A second Ctrl-C does not interrupt the clean-up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


class Bed:
    """with Bed(program) as bed: …   `program` is segmilter's path; without one, or where it only
    watches the `wire`, Postfix itself has port 25."""

    def __init__(self, program: Path | None, settings: dict | None = None, tag: str = "bed", tls: bool = False,
                 services: str = "", way: str = "listen", files: dict | None = None, resolver: str = ""):
        self._tls = tls  # Postfix offers STARTTLS
        self._way = way  # the folder of examples/postfix whose files are started
        self._services = services  # more lines for Postfix's master.cf
        self._files = files  # what is to lie in /etc/segmilter, by name
        self._resolver = resolver  # address of a name server for Postfix (see names.py); empty: none
        self.program = Path(program).resolve() if program else None
        self._settings, self._tag = settings, fresh_tag(tag)
        self._stack = ExitStack()

    def __enter__(self):
        check_machine()
        stop_on_signals()
        if self.program and not os.access(self.program, os.X_OK):
            raise Missing(f"{self.program} is not there: build it first")
        with ExitStack() as stack:
            self.root = Path(tempfile.mkdtemp(prefix="segmilter-bed-"))
            self.root.chmod(0o755)
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            if self.program:
                self.program = self._installed(self.program)
            self.link = Link(self._tag)
            stack.callback(self.link.delete)
            stack.callback(self._end_strays)
            ports = (DIRECT_PORT,) if self.program else (DIRECT_PORT, 25)
            self.postfix = postfix.server(self.link.server, self.root / "server", "".join(
                f"{address}:{port} inet n - n - - smtpd\n"
                for address in (SERVER4, f"[{SERVER6}]") for port in ports) + self._services, self._tls, self._way)
            self.postfix.resolver = self._resolver
            stack.callback(self.postfix.stop)
            self.segmilter = None
            if self.program:
                self.segmilter = Segmilter(self.link.server, self.program, self.root / "segmilter",
                                           self.root / "server/queue", self._settings, way=self._way,
                                           files=self._files)
            self.postfix.start()
            if self.segmilter:
                stack.callback(self.segmilter.stop)
                # Without the routing rules it does not start.
                if self._way == "transparent":
                    self.drop_in("ExecStartPre")
                self.segmilter.start()
            self._stack = stack.pop_all()
        return self

    def _installed(self, program: Path) -> Path:
        """Copies the program to a folder that its user can read, because it starts itself again at an upgrade. A checkout may be in a
        folder that only root may enter."""
        place = self.root / "installed"
        place.mkdir()
        return Path(shutil.copy2(program, place))

    def __exit__(self, kind, *_):
        if kind and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
            self.show_logs()
        with uninterrupted():
            self._stack.close()

    def drop_in(self, key: str) -> None:
        """Runs the lines `key` of the example's drop-in as systemd would, in the server's namespace."""
        for line in (postfix.EXAMPLES / f"{self._way}/segmilter-{self._way}.conf").read_text().splitlines():
            match = re.fullmatch(rf"{key}=([-+]*)/bin/sh -c '(.*)'", line)
            if not match:
                continue
            script = match[2].replace("segmilter nft", f"{self.program} nft -c {self.segmilter.config}")
            self.link.server.run("/bin/sh", "-c", script, check="-" not in match[1], stderr=subprocess.DEVNULL)

    def _end_strays(self) -> None:
        """Ends the processes in the bed's namespaces; all of them were started by the bed."""
        for space in self.link.spaces():
            end_pids(space.pids())

    def show_logs(self, lines: int = 25) -> None:
        logs = [("Postfix", self.postfix.log())]
        if self.segmilter:
            logs.append(("segmilter", self.segmilter.log()))
        for name, text in logs:
            print(f"--- last lines of {name}'s log", file=sys.stderr)
            print("\n".join(text.splitlines()[-lines:]), file=sys.stderr)

    def sender_postfix(self, relay: str = SERVER4) -> postfix.Postfix:
        """A relaying Postfix in the client's namespace; stopped with the bed."""
        instance = postfix.sender(self.link.client, self.root / "sender", relay)
        self._stack.callback(instance.stop)
        instance.start()
        return instance

    def primary(self, way: str, files: dict[str, str]) -> tuple[postfix.Postfix, Segmilter]:
        """A second Postfix and segmilter at PRIMARY4, of the example `way`; stopped with the bed."""
        space = self.link.attach_primary()
        instance = postfix.server(space, self.root / "primary", way=way)
        self._stack.callback(instance.stop)
        segmilter = Segmilter(space, self.program, self.root / "primary-segmilter", self.root / "primary/queue",
                              way=way, files=files)
        instance.start()
        self._stack.callback(segmilter.stop)
        segmilter.start()
        return instance, segmilter

    def house(self) -> mta.House:
        """The place from which Exim, Sendmail and OpenSMTPD send; Exim and Sendmail need nothing else."""
        return mta.House(self.link.client, self.root / "house", SERVER4)

    def opensmtpd(self, house: mta.House) -> mta.OpenSmtpd:
        """The daemon of OpenSMTPD; it is stopped with the bed."""
        instance = mta.OpenSmtpd(house)
        self._stack.callback(instance.stop)
        return instance

    def connect(self, port: int = 25, v6: bool = False, source: str = "") -> socket.socket:
        return connect(self.link, port, v6, source)

    def smtp(self, port: int = 25, v6: bool = False, source: str = "", **options) -> Client:
        return Client(self.connect(port, v6, source), **options)

    def talk(self, role: str, tag: str) -> str:
        """Sends as the quickstart's talk_sender.py does; returns the server's answer to the message."""
        return talk(self.link, role, tag)

    @contextmanager
    def capture(self, name: str, port: int = 25, ring_mb: int = 32):
        """Runs tcpdump on the router's interface towards the server; yields a function that ends it and reads the capture. `ring_mb`: the
        buffer for packets that wait for tcpdump. If the interface may bring super-packets when tcpdump starts, each packet
        takes 64 KB of it."""
        path = self.root / f"{name}.pcap"
        process = subprocess.Popen(
            self.link.router.command("tcpdump", "-i", "server", "-s", "65550", "-B", str(ring_mb * 1024), "-U", "-n", "--immediate-mode",
                                     "-Z", "root", "-w", path, f"tcp port {port}"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        def finish() -> Capture:
            time.sleep(0.3)  # the last packets are still on their way into the file
            end(process, first=signal.SIGINT)
            words = process.stderr.read()
            lost = re.search(r"(\d+) packets? dropped by kernel", words)
            if lost and int(lost.group(1)):
                raise RuntimeError(f"tcpdump lost {lost.group(1)} packets: the comparison would be void")
            return Capture(path, port)

        try:
            wait_until(lambda: path.exists() and path.stat().st_size >= 24, 10, "tcpdump to start")
            yield finish
        finally:
            end(process, first=signal.SIGINT)
            path.unlink(missing_ok=True)


__all__ = ["Bed", "Missing", "CLIENT4", "CLIENT6", "PRIMARY4", "SERVER4", "SERVER6", "DIRECT_PORT", "check_machine", "need"]
