#!/usr/bin/python3
"""Too much of everything: observation stops first, mail goes on, and afterwards everything is as before.

    overload.py PROGRAM

Descriptors run out while clients wait; SYNs come from addresses that do not exist; there are more sessions than the limits of evidence
permit, in number and in memory; more messages at a time than the filter may judge; clients that connect too often. Each time all
accepted mail is delivered.
"""
import os
import pwd
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.segmilter import USER
from bed.smtp import Client, stuffed
from bed.testbed import SERVER4, Bed

TEXT = b"Subject: load\r\n\r\n" + b"A line of a message that must not be lost.\r\n" * 120


def load(bed: Bed, messages: int, sessions: int, recipient: str, size: int = 5120) -> subprocess.Popen:
    return subprocess.Popen(bed.link.client.command(
        "smtp-source", "-s", sessions, "-m", messages, "-l", size, "-f", "load@sender.example",
        "-t", f"{recipient}@example.org", f"{SERVER4}:25"))


def delivered(checks: report.Checks, bed: Bed, source: subprocess.Popen, messages: int, name: str, when: str) -> list:
    checks.that(source.wait(180) == 0, f"{when}: smtp-source saw no refusal")
    found = bed.postfix.wait_delivered(name, messages, 120)
    checks.that(len(found) == messages, f"{when}: {len(found)} of {messages} messages delivered")
    return found


def reasons(messages: list) -> dict[str, int]:
    """The number of messages by reason; "" for those with evidence."""
    counts: dict[str, int] = {}
    for message in messages:
        for label in message.labels():
            word = label.fields.get("reason", "") if label.pattern == "unobserved" else ""
            counts[word] = counts.get(word, 0) + 1
    return counts


def labelled(bed: Bed, tag: str) -> bool:
    """True if a message that is sent now is observed."""
    client = bed.smtp()
    client.envelope("a@sender.example", "bob@example.org")
    client.data(stuffed(f"X-Test-Id: {tag}\r\n".encode() + TEXT))
    client.quit()
    box = bed.postfix.mailbox("bob")

    def mine() -> list:
        return [message for message in box.messages() if message.value("X-Test-Id") == tag]
    wait_until(mine, 10, f"message {tag}")
    return any(label.pattern != "unobserved" for label in mine()[0].labels())


def observed_again(bed: Bed, tag: str) -> bool:
    """True if messages are observed again after some time. The proxy checks once a second what was short; after a late loop it waits
    ten seconds."""
    tags = (f"{tag}-{number}" for number in count())
    try:
        return wait_until(lambda: labelled(bed, next(tags)), 20, f"a message {tag} to be observed", every=0.5)
    except TimeoutError:
        return False


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def set_limit(pid: int, name: str, soft: int | str) -> None:
    """Changes the limit as segmilter's account, which may do so; root in a container may not."""
    group = pwd.getpwnam(USER).pw_gid
    subprocess.run(["setpriv", "--reuid", USER, "--regid", str(group), "--clear-groups",
                    "prlimit", "--pid", str(pid), f"--{name}={soft}:"], check=True)


def descriptors(checks: report.Checks, program: Path) -> None:
    """So few descriptors that accept fails for some of the clients."""
    with Bed(program, tag="fds") as bed:
        when = "no descriptor free"
        proxy = bed.segmilter.child("proxy")
        used = len(os.listdir(f"/proc/{proxy}/fd"))
        few = used + 40
        before = int(re.search(r"Max open files\s+(\d+)", Path(f"/proc/{proxy}/limits").read_text()).group(1))
        set_limit(proxy, "nofile", few)
        time.sleep(3)  # the proxy looks at its limit once a second
        sessions = [bed.smtp() for _ in range(4)]
        for session in sessions:
            session.envelope("a@sender.example", "alice@example.org")
            session.expect("DATA", 354)
        # Not more than the backlog: all are connected, and either wait or have received the greeting.
        crowd = [bed.connect() for _ in range(60)]
        wait_until(lambda: len(os.listdir(f"/proc/{proxy}/fd")) >= few, 10, "the proxy to run out of descriptors")
        began, busy = time.monotonic(), cpu_seconds(proxy)
        time.sleep(3)
        share = (cpu_seconds(proxy) - busy) / (time.monotonic() - began)
        checks.that(share < 0.2, f"{when}: the proxy does not spin ({share:.0%} of a core)")
        for session in sessions:
            session.send(stuffed(TEXT))
        answers = [session.reply()[0] for session in sessions]
        checks.that(answers == [250] * 4, f"{when}: the sessions that are there finish: {answers}")
        found = bed.postfix.wait_delivered("alice", 4, 20)
        checks.that(len(found) == 4, f"{when}: their messages are delivered")
        checks.that(proxy == bed.segmilter.child("proxy"), f"{when}: the proxy is the same process")
        for connection in crowd:
            connection.close()
        for session in sessions:
            session.quit()
        wait_until(lambda: len(os.listdir(f"/proc/{proxy}/fd")) < used + 8, 30, "descriptors to be free")
        set_limit(proxy, "nofile", before)
        checks.that(observed_again(bed, "fds-after"), "afterwards a message is delivered and labelled")
        checks.that("for lack of descriptors" in bed.segmilter.log(), "the log says that sessions were not observed")
        if checks.failed:
            bed.show_logs()


def inject(bed: Bed, count: int) -> None:
    """Gives messages of 20 KB to the sending Postfix, which tries again what was refused."""
    connection = bed.link.client.socket(socket.AF_INET)
    connection.connect(("127.0.0.1", 2525))
    client = Client(connection)
    for number in range(count):
        client.envelope("load@sender.example", "alice@example.org")
        client.data(stuffed(f"X-Test-Id: m{number}\r\n".encode() + TEXT * 4))
    client.quit()


def big_message(session: Client) -> int:
    """Sends a message whose evidence takes about 60 KB. Returns the server's code; 0: the connection was closed."""
    try:
        session.write(TEXT * 10, [34] * 1500, pause=0.0003)
        session.send(b".\r\n")
        return session.reply()[0]
    except (ConnectionResetError, BrokenPipeError):
        return 0


def no_memory(checks: report.Checks, program: Path) -> None:
    """For a while every allocation fails that needs more memory from the kernel."""
    with Bed(program, tag="enomem") as bed:
        when = "no memory"
        sender = bed.sender_postfix()
        proxy = bed.segmilter.child("proxy")
        sessions = [bed.smtp() for _ in range(8)]
        for session in sessions:
            session.envelope("a@sender.example", "bob@example.org")
            session.expect("DATA", 354)
        data = int(re.search(r"VmData:\s+(\d+) kB", Path(f"/proc/{proxy}/status").read_text()).group(1)) * 1024
        set_limit(proxy, "data", data)
        crowd = []
        for _ in range(40):
            try:
                crowd.append(bed.connect())
            except OSError:
                pass
        inject(bed, 60)
        answers = [big_message(session) for session in sessions]
        good = answers.count(250)
        checks.that(good + answers.count(0) == 8, f"{when}: of 8 sessions that are there {good} finish, the others are cut, "
                                                  "and their clients would come again")
        found = bed.postfix.wait_delivered("bob", good, 20)
        checks.that(len(found) == good, f"{when}: what was taken is delivered, nothing else")
        counts = reasons(found)
        checks.that(counts.get("error", 0) > 0, f"{when}: which it was, observation stopped: {counts}")
        for session in sessions:
            session.close()
        alive = bed.segmilter.child("proxy")
        print(f"  the proxy is {'the same process' if alive == proxy else 'a new one'}; "
              f"{bed.postfix.mailbox('alice').count()} of 60 delivered so far")
        for connection in crowd:
            connection.close()
        set_limit(proxy, "data", "unlimited")
        sender.flush()
        wait_until(lambda: not sender.queued(), 90, "the sending Postfix to get rid of its mail", every=0.3)
        seen = {message.value("X-Test-Id") for message in bed.postfix.wait_delivered("alice", 60, 30)}
        checks.that(len(seen) == 60, f"{when}: {len(seen)} of 60 messages delivered in the end")
        checks.that(alive == proxy, f"{when}: the proxy is the same process")
        checks.that(observed_again(bed, "enomem-after"), "afterwards a message is delivered and labelled")
        if checks.failed:
            bed.show_logs()


class Flood:
    """SYNs to port 25 from addresses of 198.18.0.0/15 (RFC 2544), as many as one thread can send."""

    def __init__(self, bed: Bed):
        self.sent = 0
        self._stop = threading.Event()
        self._socket = bed.link.client.inside(
            lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        chance, server = random.Random(7), socket.inet_aton(SERVER4)
        while not self._stop.is_set():
            source = struct.pack("!I", 0xC6120000 | chance.getrandbits(17))
            tcp = struct.pack("!HHIIBBHHH", 1024 + chance.getrandbits(15), 25, chance.getrandbits(32), 0, 5 << 4, 2,
                              65535, 0, 0)
            tcp = tcp[:16] + struct.pack("!H", checksum(source + server + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, server)
            try:
                self._socket.sendto(header + tcp, (SERVER4, 0))
                self.sent += 1
            except OSError:
                time.sleep(0.001)  # the interface's queue is full

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._socket.close()


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def flood(checks: report.Checks, program: Path) -> None:
    with Bed(program, tag="flood") as bed:
        when = "SYN flood"
        messages = 300
        with Flood(bed) as syns:
            wait_until(lambda: syns.sent > 5000, 20, "the flood to rise")
            source = load(bed, messages, 10, "alice")
            found = delivered(checks, bed, source, messages, "alice", when)
            arrived = bed.link.server.run("nstat", "-asz", "TcpExtListenDrops", "TcpExtTCPReqQFullDoCookies",
                                          capture_output=True, text=True).stdout.split("\n", 1)[1]
        print(f"  {syns.sent} SYNs; {' '.join(arrived.split())}; reasons {reasons(found)}")
        checks.that(syns.sent > 1000, f"{when}: {syns.sent} SYNs were sent meanwhile, as many as this machine could")
        checks.that(observed_again(bed, "flood-after"), "afterwards a message is delivered and labelled")


def evidence(checks: report.Checks, program: Path) -> None:
    settings = {"evidence": {"max_sessions": 5, "linger": "1s"}}
    with Bed(program, settings, tag="seats") as bed:
        when = "room for the evidence of 5 sessions, 30 at a time"
        # All messages end at the same time, because a message's evidence is freed when it is answered.
        clients = [bed.smtp() for _ in range(30)]
        for client in clients:
            client.envelope("a@sender.example", "alice@example.org")
            client.expect("DATA", 354)
        for client in clients:
            client.send(stuffed(TEXT))
        answers = {client.reply()[0] for client in clients}
        checks.that(answers == {250}, f"{when}: all are answered {answers}")
        found = bed.postfix.wait_delivered("alice", 30, 30)
        checks.that(len(found) == 30, f"{when}: {len(found)} of 30 messages delivered, reasons {reasons(found)}")
        for client in clients:
            client.quit()
        checks.that(observed_again(bed, "seats-after"), "afterwards a message is labelled")


def memory(checks: report.Checks, program: Path) -> None:
    with Bed(program, {"evidence": {"max_bytes": "64K", "linger": "1s"}}, tag="memory") as bed:
        when = "64 KB for evidence"
        clients = [bed.smtp() for _ in range(8)]
        for client in clients:
            client.envelope("a@sender.example", "alice@example.org")
            client.expect("DATA", 354)
        for client in clients:  # about 450 segments each; with a pause, because TCP would join them after the first ten
            client.write(TEXT * 3, [34] * 500, pause=0.0003)
        late = bed.smtp()
        late.envelope("a@sender.example", "alice@example.org")
        late.data(stuffed(TEXT))
        late.quit()
        for client in clients:
            client.send(b".\r\n")
        answers = [client.reply()[0] for client in clients]
        checks.that(answers == [250] * 8, f"{when}: all are answered")
        found = bed.postfix.wait_delivered("alice", 9, 30)
        counts = reasons(found)
        checks.that(len(found) == 9, f"{when}: {len(found)} of 9 messages delivered")
        checks.that(counts.get("overload", 0) >= 4, f"{when}: observation stopped first: {counts}")
        for client in clients:
            client.quit()
        wait_until(lambda: "because of evidence.max_bytes" in bed.segmilter.log(), 10, "the log")
        checks.that(observed_again(bed, "memory-after"), "afterwards a message is labelled")


def in_flight(checks: report.Checks, program: Path) -> None:
    with Bed(program, {"filter": {"max_in_flight": 1}}, tag="flight") as bed:
        when = "one message judged at a time"
        found = delivered(checks, bed, load(bed, 1500, 20, "alice"), 1500, "alice", when)
        counts = reasons(found)
        checks.that(counts.get("busy", 0) >= 1, f"{when}: some were not: {counts}")
        checks.that(observed_again(bed, "flight-after"), "afterwards a message is labelled")


def rate(checks: report.Checks, program: Path) -> None:
    with Bed(program, {"proxy": {"max_rate_per_address": 20}}, tag="rate") as bed:
        greetings = []
        for _ in range(22):
            with bed.connect() as connection:
                greetings.append(connection.recv(200).decode())
        refused = [text for text in greetings if text.startswith("421")]
        checks.that(len(refused) in (1, 2) and refused[0].startswith("421 4.7.0 "),
                    f"20 new sessions a minute: {22 - len(refused)} are greeted, then {refused[:1]}")
        with bed.connect(v6=True) as connection:
            checks.that(connection.recv(200).startswith(b"220"), "another address is greeted")


def main() -> int:
    checks = report.Checks()
    program = Path(sys.argv[1])
    for part in (descriptors, no_memory, flood, evidence, memory, in_flight, rate):
        report.step(part.__name__)
        part(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
