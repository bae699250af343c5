"""One message of one program on one link: it is sent, captured at the server, and made into a trace and its row of the truth."""
import json
import re
import shlex
import signal
import subprocess
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bed.link import ROUTER4
from bed.process import end, end_pids, wait_until
from bed.testbed import SERVER4, Bed

from . import messages
from .delay import Delay
from .programs import Program
from .tree import NPM, Tree, npm_install

COLUMNS = ("file", "message", "sender", "class", "link", "kind", "tls", "bdat", "segments", "bytes", "writer", "path", "pattern",
           "block", "version")
PATTERNS = {"stream": "official-mta", "blocks": "kilobyte-blocks", "lines": "line-writer", "received-first": "relay",
            "headers-apart": "bot-headers-apart", "template": "bot-template", "*": "*"}
FIRST_FLIGHT = 14_000  # bytes that leave at once; after a longer write the next one may already be waiting
# Detached, so that the wait is for the program; a daemon that it leaves behind is still traced.
STRACE = "exec strace -D -A -f -qq -yy -s 400 -o /record/strace -e trace=write,sendto,sendmsg,writev"
SECONDS = 60  # the longest time for one message


@dataclass(frozen=True)
class LinkKind:
    delay: float             # ms, one way
    tls: bool = False        # STARTTLS is offered
    hidden: str = "chunking"  # what Postfix's answer to EHLO leaves out
    route: tuple = ()        # more words for the client's route
    mtu: int = 1500          # of every interface
    stack: str = ""          # the program sends through this one: senders/stack.sh
    packages: tuple = ()     # Debian's, that the stack needs


LINKS = {"base": LinkKind(20), "lan": LinkKind(0), "base-bare": LinkKind(20, hidden="chunking, pipelining, dsn, 8bitmime, size"),
         "base-bdat": LinkKind(20, hidden=""), "base-tls": LinkKind(20, tls=True),
         "initcwnd1": LinkKind(20, route=("initcwnd", "1")), "jumbo": LinkKind(20, mtu=9000),
         "tunnel": LinkKind(20, route=("mtu", "1420")),
         **{name: LinkKind(20, stack=name, packages=packages) for name, packages in {
             "openvpn": ("openvpn", "iputils-ping"), "openvpn-tcp": ("openvpn", "iputils-ping"),
             "wireguard-go": ("wireguard-go", "wireguard-tools", "iputils-ping"), "gvisor": ("runsc", "iptables"),
             "lwip": ("liblwip-dev", "gcc", "libc6-dev")}.items()}}


class Failed(Exception):
    """The program did not send, or its message cannot become a row; the text says why."""


@contextmanager
def link(bed: Bed, name: str):
    """The bed's link and Postfix as `name` wants them."""
    kind = LINKS[name]
    bed.postfix.set(f"smtpd_discard_ehlo_keywords = {kind.hidden}")
    bed.postfix.set(f"smtpd_tls_security_level = {'may' if kind.tls else 'none'}")
    for space, port in ((bed.link.client, "eth0"), (bed.link.router, "client"), (bed.link.router, "server"), (bed.link.server, "eth0")):
        space.ip("link", "set", port, "mtu", kind.mtu)
    bed.link.client.ip("route", "replace", "default", "via", ROUTER4, *kind.route)
    with Delay(bed.link.router, kind.delay) if kind.delay else nullcontext():
        yield


def variables(kind: str, name: str) -> str:
    return (f"export SERVER={SERVER4} FROM={messages.FROM} TO={messages.TO} KIND={kind} M=/record/messages/{kind} S=/record/senders "
            f"TLS={'yes' if LINKS[name].tls else 'no'} NPM={NPM}\n")


class Running:
    """A program that is ready to send on one link. Processes that it leaves running are ended with it. `traced`: strace writes the
    system calls of the program and of its children to /record/strace."""

    def __init__(self, bed: Bed, tree: Tree, program: Program, link_name: str, traced: bool = False):
        self._bed, self._tree, self._program, self._link, self._traced = bed, tree, program, link_name, traced

    def __enter__(self):
        if self._program.start:
            self._run("k1", self._program.start, "start")
        return self

    def __exit__(self, *_):
        end_pids(self._bed.link.client.pids())

    def _run(self, kind: str, script: str, what: str) -> None:
        if self._traced:
            script = f"{STRACE} bash -c {shlex.quote(script)}"
        script = variables(kind, self._link) + script
        log = Path(self._bed.root) / "program.log"
        with open(log, "wb") as text:
            process = subprocess.Popen(self._tree.command(self._bed.link.client, script), stdin=subprocess.DEVNULL,
                                       stdout=text, stderr=text, start_new_session=True)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                end(process)
                code = "a timeout"
        if code:
            raise Failed(f"{what} ended with {code}: {log.read_text(errors='replace')[-500:].strip()}")

    def send(self, kind: str, capture: Path) -> None:
        """Sends one message and writes what the server's interface saw."""
        bed = self._bed
        before = bed.postfix.log().count("status=sent")
        tcpdump = subprocess.Popen(
            bed.link.server.command("tcpdump", "-i", "eth0", "-s", "0", "-B", "8192", "-U", "--immediate-mode", "-n", "-Z", "root",
                                    "-w", capture, "tcp port 25"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_until(lambda: capture.exists() and capture.stat().st_size >= 24, 10, "tcpdump to start")
            stack = LINKS[self._link].stack
            self._run(kind, f"bash $S/stack.sh {stack} bash -c {shlex.quote(self._program.send)}" if stack else self._program.send, "it")
            try:
                wait_until(lambda: bed.postfix.log().count("status=sent") > before, 3, "the message to arrive")
                # Some programs keep the connection for the next message, which would then be captured without its beginning.
                wait_until(lambda: not self._connected(), 6, "the session to end")
            except TimeoutError as error:
                raise Failed(f"{error}; {(Path(bed.root) / 'program.log').read_text(errors='replace')[-500:]}") from None
        finally:
            end(tcpdump, first=signal.SIGINT)

    def _connected(self) -> bool:
        return bool(self._bed.link.server.run("ss", "-Htn", "state", "established", "sport = :25", capture_output=True,
                                              text=True).stdout.strip())


def classified(segmilter: Path, capture: Path) -> list[dict]:
    done = subprocess.run([segmilter, "classify", "--format", "jsonl", capture], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        raise Failed(f"classify ended with {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def seen(program: Program, link_name: str, kind: str, message: dict, version: str) -> dict:
    """The row of one message that was found in a capture."""
    return {"sender": program.name, "class": program.kind, "link": link_name, "kind": kind, "tls": "y" if message["tls"] else "n",
            "bdat": "y" if message["chunking"] else "n", "segments": len(message["segments"]), "bytes": message["size"],
            "version": version, "trace": message["trace"]}


def truth(program: Program, row: dict) -> dict:
    """The truth about the message: how the program is known to write, and the link. It does not use the classifier's verdict."""
    writer, block, segments = program.writer, program.block, int(row["segments"])
    if writer == "blocks" and int(row["bytes"]) <= block:
        writer = "stream"  # one block is one write
    elif row["bdat"] == "y" or (program.corked and row["tls"] == "y"):
        writer = "*"
    elif writer == "blocks" and block > FIRST_FLIGHT:
        writer, block = "stream|blocks", 0
    patterns = "|".join(PATTERNS[word] for word in writer.split("|"))
    if writer == "blocks" and block % 1024:
        patterns = "official-mta"
    path = "full"
    if row["tls"] == "n" and segments == 1:
        writer, path, patterns = "*", "*", "indistinct"
    elif segments < 3:
        path, patterns = "*", "*"
    return {**row, "writer": writer, "path": path, "pattern": patterns, "block": block or ""}


def prepare(tree: Tree, program: Program) -> str:
    """Installs it and what its links need; returns its version."""
    tree.install([*program.packages, *(package for name in program.links for package in LINKS[name].packages)])
    for package in program.npm:
        npm_install(package)
    if program.npm:
        return program.npm[0]
    named = program.packages[0] if program.packages else "python3"
    return named + " " + tree.output(f"dpkg-query -W -f='${{Version}}' {named}")




# A write to it, also by a socket of IPv6 as Java's.
TO_SERVER = r"\b(?:write|sendto|sendmsg|writev)\(\d+<[^>]*->\[?(?:::ffff:)?" + re.escape(SERVER4) + r"\]?:25\]>"


def writes(trace: str) -> list[int]:
    """Sizes of the writes to the server after DATA or BDAT, from the output of STRACE for one session in clear."""
    sizes, seen = [], False
    for line in trace.splitlines():
        call = re.search(TO_SERVER + r".* = (\d+)$", line)
        if call and seen:
            sizes.append(int(call.group(1)))
        seen = seen or bool(call and re.search(r'(?i)(?:"|\\n)data\\r\\n"|BDAT \d', line))
    return sizes
