#!/usr/bin/python3
"""Before postscreen with all deep protocol tests on: a new client comes back, passes, and is labelled.

    postscreen.py PROGRAM

Postfix is that of examples/postfix/postscreen. postscreen reads the PROXY header and passes the connection itself to smtpd, so the
filter has to find the evidence by the address that postscreen gave to smtpd. New clients end in postscreen's own SMTP engine; what
it rejects has to reach it as it was sent.
"""
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.link import CLIENT4, CLIENT6, SERVER4, SERVER6
from bed.process import wait_until
from bed.smtp import Client
from bed.testbed import DIRECT_PORT, Bed
from bytes_unchanged import same_both_ways

TEXT = b"Subject: screened\r\nFrom: a@sender.example\r\n\r\n" + b"one line of the text\r\n" * 400 + b".\r\n"
# Clients that no other part of the test uses: each is new to postscreen.
EARLY, PIPELINING, BARE, HTTP = (f"192.0.2.{number}" for number in (101, 102, 103, 104))


def connect(bed: Bed, address: str) -> socket.socket:
    """A connection to port 25 from one of the client's addresses."""
    server = SERVER6 if ":" in address else SERVER4
    return bed.link.client.inside(lambda: socket.create_connection((server, 25), timeout=60, source_address=(address, 0)))


class NewClient(threading.Thread):
    """A client comes for the first time, gets the reply 450 and sends QUIT; then it comes again with a message."""

    def __init__(self, bed: Bed, address: str):
        super().__init__(daemon=True)
        self._bed, self.address = bed, address
        self.first = self.queue_id = ""
        self.ports: list[int] = []
        self.wait = 0.0

    def run(self) -> None:
        began = time.monotonic()
        client = self._client()
        self.wait = time.monotonic() - began
        client.expect("MAIL FROM:<a@sender.example>", 250)
        code, text = client.command("RCPT TO:<alice@example.org>")
        self.first = f"{code} {text}"
        client.quit()
        client = self._client()
        client.envelope("a@sender.example", "alice@example.org")
        self.queue_id = client.data(TEXT).rsplit(" ", 1)[1]
        client.quit()

    def _client(self) -> Client:
        connection = connect(self._bed, self.address)
        self.ports.append(connection.getsockname()[1])
        return Client(connection)


def new_clients(bed: Bed, checks: report.Checks) -> None:
    clients = [NewClient(bed, address) for address in (CLIENT4, CLIENT6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
        name, log = client.address, bed.postfix.log()
        if not checks.that(client.first.startswith("450 4.3.2") and client.wait > 4,
                           f"{name}, new: greeted after {client.wait:.1f} s, then {client.first}"):
            continue
        checks.that(f"PASS NEW [{name}]:{client.ports[0]}" in log, f"{name}: PASS NEW with its own address and port")
        checks.that(f"PASS OLD [{name}]:{client.ports[1]}" in log, f"{name}: PASS OLD the next time")
        arrived = bed.postfix.delivered(client.queue_id)
        wanted = f"{client.queue_id}: client=unknown[{name}]:{client.ports[1]}"
        checks.that(wanted in log, f"smtpd logs {wanted}")
        checks.that(name in arrived.value("Received"), f"Received names {name}")
        label = arrived.labels()[0]
        print(f"  {label.raw}")
        checks.that(label.pattern == "official-mta" and sum(label.segments or []) == len(TEXT),
                    f"{name}: pattern={label.pattern}, segments of {sum(label.segments or [])} bytes; {len(TEXT)} were sent")


def server_sends(bed: Bed, checks: report.Checks) -> None:
    """A real Postfix that postscreen does not know: it queues, comes back by itself, and its mail is labelled."""
    bed.postfix.stop()
    for file in (bed.root / "server/data").glob("postscreen_cache*"):
        file.unlink()
    bed.postfix.start()
    sender = bed.sender_postfix()
    before = bed.postfix.mailbox("alice").count()
    bed.link.client.run("swaks", "--server", "127.0.0.1:2525", "--from", "b@sender.example", "--to", "alice@example.org", "--body",
                        "text of a server " * 500, stdout=subprocess.DEVNULL)
    box = bed.postfix.mailbox("alice")
    wait_until(lambda: box.count() > before, 60, "the server's message, at its second attempt")
    arrived = box.messages()
    deferred = re.search(r"status=deferred \(.* said: (450 4\.3\.2[^(]*)", sender.log())
    checks.that(deferred, f"a Postfix that is new is deferred: {deferred and deferred.group(1)}")
    checks.that(deferred and len(arrived) == before + 1, "it comes back by itself, and its message is delivered once")
    labels = [m.labels()[0] for m in arrived if "b@sender.example" in m.value("Return-Path")]
    checks.that(labels and labels[0].fields.get("gait", "").startswith("postfix"), f"labelled: {labels and labels[0].raw}")


def faults(bed: Bed, checks: report.Checks) -> None:
    """What deep tests look for reaches postscreen as it was sent. All clients run at once, because each waits for the greeting."""
    talks = {EARLY: b"EHLO early.example\r\n", PIPELINING: b"", BARE: b"", HTTP: b""}
    later = {PIPELINING: b"EHLO x\r\nMAIL FROM:<a@sender.example>\r\n", BARE: b"EHLO x\n", HTTP: b"GET / HTTP/1.0\r\n"}
    lines = {EARLY: rf"PREGREET 20 after [\d.]+ from \[{EARLY}\]:\d+: EHLO early\.example\\r\\n",
             PIPELINING: rf"COMMAND PIPELINING from \[{PIPELINING}\]:\d+ after EHLO",
             BARE: rf"BARE NEWLINE from \[{BARE}\]:\d+ after ", HTTP: rf"NON-SMTP COMMAND from \[{HTTP}\]:\d+ after "}
    connections = {}
    for address, first in talks.items():
        bed.link.client.ip("addr", "add", f"{address}/24", "dev", "eth0")
        connections[address] = connect(bed, address)
        connections[address].sendall(first)
    for address, talk in later.items():
        greeting = b""
        while not re.search(rb"(?m)^220 ", greeting):
            greeting += connections[address].recv(1000)
        connections[address].sendall(talk)
    for address, line in lines.items():
        try:
            found = wait_until(lambda: re.search(line, bed.postfix.log()), 10, line)
            checks.that(found, f"postscreen says {found.group(0)}")
        except TimeoutError:
            checks.that(False, f"postscreen says {line}")
    for connection in connections.values():
        connection.close()


def under_tls(bed: Bed, checks: report.Checks) -> None:
    sent = bed.link.client.run("swaks", "--server", SERVER4, "--from", "a@sender.example", "--to", "alice@example.org", "--tls",
                               "--body", "text " * 2000, stdout=subprocess.PIPE, text=True)
    label = bed.postfix.delivered(re.search(r"queued as (\w+)", sent.stdout).group(1)).labels()[0]
    print(f"  {label.raw}")
    checks.that((label.fields.get("tls"), label.fields.get("window")) == ("yes", "exact") and label.pattern != "unobserved",
                f"under STARTTLS: pattern={label.pattern}, window=exact")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="screen", tls=True, way="postscreen") as bed:
        report.step("clients that are new, IPv4 and IPv6")
        new_clients(bed, checks)
        report.step("clients that are known")
        same_both_ways(checks, bed, {"screened": bed.connect(), "direct": bed.connect(DIRECT_PORT)},
                       [5, 19, 23, 25, 32, 40, 50, 61, 77], "both ways")
        under_tls(bed, checks)
        report.step("what the deep tests are for")
        faults(bed, checks)
        report.step("a mail server that is new")
        server_sends(bed, checks)
        strange = bed.postfix.warnings()
        checks.that(not strange, f"no warning in Postfix's log {strange[:3]}")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
