#!/usr/bin/python3
"""Another milter takes longer for each message than proxy.idle_timeout: the mail arrives once, and idle clients are still closed.

    slow_answers.py PROGRAM

In clear and under TLS, by DATA and by BDAT in one write, observed and not. (With BDAT Postfix answers MAIL and RCPT before it has the
message, so Postfix has spoken last although it still owes the reply to the message.) Also tested: segmilter is upgraded or stopped
meanwhile, and the reply comes later than proxy.drain_timeout.
"""
import signal
import ssl
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.milter import SlowMilter
from bed.process import alive, wait_until
from bed.smtp import Client, stuffed
from bed.testbed import Bed
from upgrade import upgrade

IDLE, SLOW, SMTPD = 2, 4, 6  # seconds: proxy.idle_timeout, the other milter's delay, Postfix's smtpd_timeout
DRAIN = 1  # second: drain_timeout


def message(tag: str) -> bytes:
    return b"From: a@sender.example\r\nX-Test-Id: %s\r\n\r\n" % tag.encode() + b"a line of text\r\n" * 5000


def start_tls(client: Client) -> None:
    client.expect("STARTTLS", 220)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client._socket = context.wrap_socket(client._socket)
    client.expect("EHLO client.example", 250)


def by_data(client: Client, tag: str) -> str:
    client.envelope("a@sender.example", "alice@example.org")
    return client.data(stuffed(message(tag)))


def by_bdat(client: Client, tag: str) -> str:
    content = message(tag)
    client.send(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<alice@example.org>\r\nBDAT %d LAST\r\n" % len(content) + content)
    return [client.reply() for _ in range(3)][-1][1]


def last_words(client: Client) -> tuple[str, float]:
    """What a silent client receives, and after how long its connection is closed."""
    began = time.monotonic()
    heard = b""
    while more := client._socket.recv(4096):
        heard += more
    return heard.decode().strip(), time.monotonic() - began


def half(client: Client) -> tuple[str, float]:
    """Begins a message and is then silent. Returns what it receives, and when the connection is closed."""
    client.envelope("a@sender.example", "alice@example.org")
    client.expect("DATA", 354)
    client.send(b"Subject: half a message\r\n")
    return last_words(client)


class Clients:
    """Sessions that run at the same time: each is a function in a thread; its result or error is kept under its name."""

    def __init__(self, bed: Bed):
        self._bed, self._threads, self.results = bed, [], {}

    def start(self, name: str, tls: bool, speak) -> None:
        def run() -> None:
            try:
                client = self._bed.smtp()
                if tls:
                    start_tls(client)
                self.results[name] = speak(client)
                client.close()
            except Exception as error:
                self.results[name] = error
        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()


def sent(checks: report.Checks, bed: Bed, clients: Clients, tags: list[str]) -> None:
    def tags_arrived() -> list[str]:
        return [one.value("X-Test-Id") for one in bed.postfix.mailbox("alice").messages()]
    try:
        wait_until(lambda: set(tags) <= set(tags_arrived()) and not bed.postfix.queued(), 20, "the mail")
    except TimeoutError:
        pass  # missing results are reported below
    arrived = tags_arrived()
    for tag in tags:
        answer = clients.results[tag]
        checks.that(isinstance(answer, str) and arrived.count(tag) == 1,
                    f"{tag}: answered {answer!r}, arrived {arrived.count(tag)} times")


def drained(checks: report.Checks, bed: Bed, how: str, drain) -> None:
    """`drain()` begins while the other milter is at work, and returns when the old proxy has ended."""
    report.step(f"{how} while a milter takes {SLOW} s, proxy.drain_timeout is {DRAIN} s")
    clients, tags = Clients(bed), []
    for tls in (False, True):
        tags.append(f"{how}-{'tls' if tls else 'clear'}")
        clients.start(tags[-1], tls, lambda client, tag=tags[-1]: by_data(client, tag))
    tags.append(f"{how}-bdat")
    clients.start(tags[-1], False, lambda client, tag=tags[-1]: by_bdat(client, tag))
    clients.start("half", False, half)
    clients.start("idle-tls", True, last_words)
    time.sleep(1.5)  # the other milter has all messages
    log, began = len(bed.segmilter.log()), time.monotonic()
    drain()
    took = time.monotonic() - began
    clients.wait()
    sent(checks, bed, clients, tags)
    for name in ("half", "idle-tls"):
        words, after = clients.results[name]
        checks.that(words == "" and after < SLOW, f"{how}, {name}: closed in time, after {after:.1f} s {words!r}")
    checks.that(DRAIN < took < SLOW + 6, f"{how}: the old proxy has ended with the last answer, after {took:.1f} s")
    checks.that("sessions are cut off" not in bed.segmilter.log()[log:], f"{how}: none was cut")


def while_drained(checks: report.Checks) -> None:
    proxy = {"drain_timeout": f"{DRAIN}s"}
    with Bed(Path(sys.argv[1]), settings={"proxy": proxy}, tag="slowd", tls=True) as bed:
        slow = SlowMilter(bed.root / "slow.sock", SLOW)
        bed.postfix.set(f"smtpd_milters = {{ unix:segmilter/milter.sock, default_action=accept, connect_timeout=2s, "
                        f"command_timeout=5s }}, unix:{bed.root}/slow.sock")

        def upgraded() -> None:
            old = bed.segmilter.child("proxy")
            upgrade(bed)
            wait_until(lambda: not alive(old), 30, "the old proxy to end")

        def stopped() -> None:
            process = bed.segmilter.process
            bed.segmilter.let_go()
            process.send_signal(signal.SIGTERM)
            checks.that(process.wait(30) == 0, "stopped, exit 0")
        drained(checks, bed, "upgraded", upgraded)
        drained(checks, bed, "stopped", stopped)

        report.step("the answer comes later than proxy.drain_answer_timeout too")
        bed.segmilter.write({"proxy": {**proxy, "drain_answer_timeout": "2s"}})
        bed.segmilter.start()
        clients = Clients(bed)
        clients.start("late", False, lambda client: by_data(client, "late"))
        time.sleep(1)
        began = time.monotonic()
        stopped()
        clients.wait()
        checks.that(isinstance(clients.results["late"], OSError) and time.monotonic() - began < SLOW,
                    f"the session is cut: {clients.results['late']!r} after {time.monotonic() - began:.1f} s")
        checks.that("proxy.drain_answer_timeout: 1 sessions are cut off" in bed.segmilter.log(), "the log says so")
        slow.close()
        if checks.failed:
            bed.show_logs()


def main() -> int:
    checks = report.Checks()
    proxy = {"idle_timeout": f"{IDLE}s"}
    with Bed(Path(sys.argv[1]), settings={"proxy": proxy}, tag="slow", tls=True) as bed:
        slow = SlowMilter(bed.root / "slow.sock", SLOW)
        bed.postfix.set(f"smtpd_milters = {{ unix:segmilter/milter.sock, default_action=accept, connect_timeout=2s, "
                        f"command_timeout=5s }}, unix:{bed.root}/slow.sock")
        bed.postfix.set(f"smtpd_timeout = {SMTPD}s")

        report.step(f"a milter takes {SLOW} s, proxy.idle_timeout is {IDLE} s")
        clients = Clients(bed)
        tags = []
        for tls in (False, True):
            for way in (by_data, by_bdat):
                tags.append(f"{way.__name__}-{'tls' if tls else 'clear'}")
                clients.start(tags[-1], tls, lambda client, way=way, tag=tags[-1]: way(client, tag))
        clients.start("idle", False, last_words)
        clients.start("idle-tls", True, lambda client: client._socket.recv(4096).decode().strip())

        clients.start("stops", False, half)
        clients.wait()
        sent(checks, bed, clients, tags)
        words, after = clients.results["idle"]
        checks.that(words == "" and after >= IDLE - 1, f"an idle client is closed by the proxy: {words!r} after {after:.1f} s")
        words = clients.results["idle-tls"]
        checks.that("421 4.4.2" in words, f"an idle client under TLS is closed by Postfix: {words!r}")
        words, after = clients.results["stops"]
        checks.that("421 4.4.2" in words, f"a client that stops in mid message is closed by Postfix: {words!r} after {after:.1f} s")

        report.step("the same without an observer")
        bed.segmilter.stop()
        bed.segmilter.write({"proxy": proxy, "capture": {"method": "off"}})
        bed.segmilter.start()
        clients = Clients(bed)
        clients.start("off-data", False, lambda client: by_data(client, "off-data"))
        clients.start("off-bdat", False, lambda client: by_bdat(client, "off-bdat"))
        clients.wait()
        sent(checks, bed, clients, ["off-data", "off-bdat"])
        checks.that("answer_timeout" not in bed.segmilter.log(), "none was cut for a late answer")
        slow.close()
        if checks.failed:
            bed.show_logs()
    while_drained(checks)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
