"""A private Postfix with its own configuration, queue and data folders; the host's Postfix is never touched.

The server has the files of examples/postfix/listen with other paths, and a few lines that a namespace without a name service
needs. The sender is a small relaying instance in the client's namespace, so that Postfix's own smtp client sends the mail.
"""
import re
import shutil
import subprocess
import time
from pathlib import Path

from .mail import Mailbox
from .netns import Namespace
from .process import PATIENCE, alive, check_needed, children, end_pids, need_alive, not_needed, title, wait_until

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/postfix"
EXAMPLE = EXAMPLES / "listen"
STOCK_MASTER = Path("/usr/share/postfix/master.cf.dist")

# No name service, no waiting, a log file, and room for 5 MB messages and many sessions.
BED_LINES = """
# ---- the test bed ------------------------------------------------------------------------------
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
alias_maps =
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
"""

SENDER_MAIN = """\
compatibility_level = 3.6
myhostname = mail.sender.example
mydestination =
inet_interfaces = loopback-only
inet_protocols = all
mynetworks = 127.0.0.0/8 [::1]/128
queue_directory = {root}/queue
data_directory = {root}/data
relayhost = [{relay}]:25
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
smtp_destination_concurrency_failed_cohort_limit = 0
default_destination_concurrency_limit = 8
# The bed cuts connections on purpose, so the next attempt has to come soon.
smtp_connect_timeout = 5s
"""


class Postfix:
    """One instance below `root`, run in `space`."""

    def __init__(self, space: Namespace, root: Path, main: str, master: str):
        self.space, self.root, self.conf = space, root, root / "conf"
        self.resolver = ""  # address of a name server; empty: the machine's own settings, and no look-ups
        self.log_file = root / "mail.log"
        self._name = f"Postfix of {root}"
        for folder in (self.conf, root / "queue", root / "data", root / "mail"):
            folder.mkdir(parents=True)
        shutil.chown(root / "data", "postfix")
        (root / "mail").chmod(0o777)
        (self.conf / "main.cf").write_text(main + BED_LINES.format(root=root))
        (self.conf / "master.cf").write_text(master)

    def _control(self, word: str, check: bool = True) -> None:
        done = self.space.run(*self._house(), "postfix", "-c", self.conf, word, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise RuntimeError(f"postfix {word}: {done.stdout.strip()}\n{self.log()[-2000:]}")

    def _house(self) -> list[str]:
        """The prefix of a command that makes it, and the daemons that it starts, use the bed's resolver."""
        if not self.resolver:
            return []
        (self.root / "resolv.conf").write_text(f"nameserver {self.resolver}\noptions timeout:1 attempts:1\n")
        return ["unshare", "--mount", "sh", "-ec",
                f"mount --bind '{self.root / 'resolv.conf'}' /etc/resolv.conf\nexec \"$@\"", "sh"]

    def master_pid(self) -> int:
        try:
            return int((self.root / "queue/pid/master.pid").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def start(self) -> None:
        while True:
            try:
                self._control("start")
                break
            except RuntimeError as error:
                # If Postfix is killed while it makes a queue file, the file keeps a temporary name. Postfix then does not
                # start, and complains about one such file at a time.
                nameless = re.findall(r"bogus file name: (incoming/\S+)", str(error))
                left = [self.root / "queue" / name for name in nameless]
                if not any(file.exists() for file in left):
                    raise
                for file in left:
                    file.unlink(missing_ok=True)
        wait_until(lambda: "daemon started" in self.log(), 20, "Postfix to start")
        self.watch()

    def watch(self) -> None:
        """From here on every wait fails if the process that runs now ends, whoever has started it."""
        pid = self.master_pid()
        need_alive(self._name, lambda: "" if alive(pid) else "has ended")

    def stop(self) -> None:
        """Stops at once: `postfix stop` would let sessions finish."""
        not_needed(self._name)
        pid = self.master_pid()
        if pid and alive(pid):
            # A server has the listening sockets too, so clients are refused only when the last one is gone.
            everything = [pid, *children(pid)]
            self._control("abort", check=False)
            try:
                wait_until(lambda: not any(map(alive, everything)), 10, "Postfix to stop")
            except TimeoutError:
                end_pids(everything)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def warnings(self) -> list[str]:
        """Lines of the log that report a problem, except those about file times that differ from the machine's clock."""
        clock = r"file system clock is|resetting file time stamps"
        return [line for line in self.log().splitlines()
                if re.search(r"(warning|fatal|panic): ", line) and not re.search(clock, line)]

    def mailbox(self, name: str) -> Mailbox:
        """The maildir of NAME@example.org."""
        return Mailbox(self.root / "mail" / name)

    def queued(self) -> int:
        folders = ("incoming", "active", "deferred", "hold")
        return sum(1 for folder in folders for file in (self.root / "queue" / folder).rglob("*")
                   if file.is_file())

    def delivered(self, queue_id: str, name: str = "alice"):
        """Waits for the message that smtpd has queued under this id. None: it did not come."""
        wait_until(lambda: f"{queue_id}: removed" in self.log(), 15, f"delivery of {queue_id}")
        return next((one for one in self.mailbox(name).messages() if f"id {queue_id}" in one.value("Received")), None)

    def wait_delivered(self, name: str, count: int, seconds: float = 60) -> list:
        """Waits for `count` messages in NAME's maildir, or until the queue stood still."""
        box = self.mailbox(name)
        deadline, last, since = time.monotonic() + PATIENCE * seconds, -1, time.monotonic()
        while box.count() < count and time.monotonic() < deadline:
            if box.count() != last:
                last, since = box.count(), time.monotonic()
            if not self.queued() and time.monotonic() - since > 8:
                break
            check_needed(f"{count} messages for {name}")
            time.sleep(0.1)
        return box.messages()

    def set(self, line: str) -> None:
        """Changes main.cf of the running instance. The next client is served with the new settings."""
        self.space.run("postconf", "-c", self.conf, "-e", line)
        before = [pid for pid in children(self.master_pid()) if re.search("smtpd|cleanup", title(pid))]
        self._control("reload")
        # A server that has a client continues with the old settings and accepts no other client.
        wait_until(lambda: not self._idle(before), 20, "Postfix's old servers to end")

    def _idle(self, pids: list[int]) -> list[int]:
        """The servers that are alive and have no client. Servers with clients need cleanup for their messages."""
        listing = self.space.run("ss", "-Htnp", "state", "established", capture_output=True, text=True).stdout
        busy = {int(pid) for pid in re.findall(r"pid=(\d+)", listing)}
        if busy.intersection(pids):
            pids = [pid for pid in pids if "cleanup" not in title(pid)]
        return [pid for pid in pids if alive(pid) and pid not in busy]

    def flush(self) -> None:
        self.space.run("postqueue", "-c", self.conf, "-f", check=False)


# STARTTLS with a key of each kind, so that the client's choice decides.
TLS_LINES = """
smtpd_tls_security_level = may
smtpd_tls_chain_files = {root}/rsa.pem, {root}/ecdsa.pem
smtpd_tls_loglevel = 0
"""


def make_keys(root: Path) -> None:
    """Self-signed, in one file each: key, then certificate."""
    for name, kind in {"rsa": ["rsa:2048"], "ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]}.items():
        subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "2", "-subj", "/CN=mx1.example.org",
                        "-keyout", root / f"{name}.key", "-out", root / f"{name}.crt"],
                       check=True, stderr=subprocess.DEVNULL)
        (root / f"{name}.pem").write_text("".join((root / f"{name}.{part}").read_text() for part in ("key", "crt")))


def server(space: Namespace, root: Path, extra_services: str = "", tls: bool = False, way: str = "listen") -> Postfix:
    """The Postfix of the example for this way to deploy. Its files, with other paths and nothing else changed."""
    main = (EXAMPLES / way / "main.cf").read_text()
    for path, ours in {"/var/mail/vhosts": root / "mail", "/var/spool/postfix": root / "queue",
                       "/var/lib/postfix": root / "data"}.items():
        if path not in main and (ours != root / "mail" or "virtual_mailbox_base" in main):
            raise RuntimeError(f"examples/postfix/{way}/main.cf no longer names {path}")
        main = main.replace(path, str(ours))
    # If the example has no master.cf, Debian's own is used unchanged.
    own = EXAMPLES / way / "master.cf"
    master = (own if own.exists() else STOCK_MASTER).read_text()
    if tls:
        root.mkdir(parents=True)
        make_keys(root)
        main += TLS_LINES.format(root=root)
    return Postfix(space, root, main, master + extra_services)


def sender(space: Namespace, root: Path, relay: str) -> Postfix:
    """Takes mail on 127.0.0.1:2525 of its namespace and relays it to `relay`."""
    lines = (EXAMPLE / "master.cf").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("pickup"))
    master = "127.0.0.1:2525 inet n - n - - smtpd\n" + "\n".join(lines[start:]) + "\n"
    return Postfix(space, root, SENDER_MAIN.format(root=root, relay=relay), master)
