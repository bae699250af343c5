#!/usr/bin/python3
"""Behind HAProxy: Postfix sees the real client, no client can pretend to be another, and the label says that HAProxy's connection
was observed.

    balancer.py PROGRAM

A real HAProxy with examples/postfix/haproxy/haproxy.cfg runs on the router, before segmilter and Postfix with the files of the
same folder:

    client 192.0.2.7 ─► 192.0.2.1:25 HAProxy 198.51.100.1 ─PROXY v2─► 198.51.100.25:25 segmilter ─► smtpd

Tests mail through it, its health checks, clients that pretend to be HAProxy, and balancers that send no header, half of one, or
garbage.
"""
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from bed import report
from bed.link import CLIENT4, CLIENT6, ROUTER4, ROUTER4S, ROUTER6, ROUTER6S, SERVER4, SERVER6
from bed.postfix import EXAMPLES
from bed.process import end, wait_until
from bed.smtp import Client
from bed.testbed import Bed, need
from bytes_unchanged import same_both_ways

BALANCERS = [ROUTER4S, ROUTER6S]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TEXT = b"Subject: balanced\r\nFrom: a@sender.example\r\n\r\n" + b"one line of the text\r\n" * 400 + b".\r\n"


def proxy_v2(client: str, port: int) -> bytes:
    return SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, socket.inet_aton(client), socket.inet_aton(SERVER4), port, 25)


class HAProxy:
    """The example's haproxy.cfg on the router, with other paths, addresses and times. `smtpchk`: as it is; else with
    the line taken out, by which a check is only a connection."""

    def __init__(self, bed: Bed, smtpchk: bool = True):
        text = (EXAMPLES / "haproxy/haproxy.cfg").read_text()
        self._stats = bed.root / "haproxy.sock"
        changes = {"/run/haproxy/admin.sock": str(self._stats), "/dev/log mail": "stdout format raw local0",
                   "192.0.2.25:25": f"{SERVER4}:25", "[2001:db8::25]:25": f"[{SERVER6}]:25", "inter 10s": "inter 200ms"}
        if not smtpchk:
            changes["option smtpchk"] = "#"
        for old, new in changes.items():
            if old not in text:
                raise RuntimeError(f"examples/postfix/haproxy/haproxy.cfg no longer has {old}")
            text = text.replace(old, new)
        path, log = bed.root / "haproxy.cfg", bed.root / "haproxy.log"
        path.write_text(text)
        with open(log, "ab") as out:
            self._process = subprocess.Popen(bed.link.router.command("haproxy", "-db", "-f", path),
                                             stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        wait_until(self._stats.exists, 10, f"HAProxy to start: {log.read_text()[-500:]}")

    def servers(self) -> dict[str, tuple[str, str]]:
        """Status and last check of each server: {"mx1": ("UP", "L7OK")}."""
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self._stats))
            stats.sendall(b"show stat\n")
            text = b"".join(iter(lambda: stats.recv(65536), b"")).decode()
        head, *lines = [line.split(",") for line in text.lstrip("# ").splitlines() if line]
        rows = [dict(zip(head, line)) for line in lines]
        return {row["svname"]: (row["status"], row["check_status"].lstrip("* ")) for row in rows
                if row["pxname"] == "mx" and row["svname"].startswith("mx")}

    def wait(self, status: str) -> bool:
        """Waits until all servers have this state. False: they do not have it within ten seconds."""
        try:
            return wait_until(lambda: all(now.startswith(status) for now, _ in self.servers().values()), 10, status)
        except TimeoutError:
            return False

    def stop(self) -> None:
        end(self._process)
        self._stats.unlink(missing_ok=True)


def through(bed: Bed, v6: bool = False) -> socket.socket:
    """A connection from the client to HAProxy."""
    connection = bed.link.client.socket(socket.AF_INET6 if v6 else socket.AF_INET)
    connection.settimeout(30)
    connection.connect((ROUTER6 if v6 else ROUTER4, 25))
    return connection


def as_balancer(bed: Bed) -> socket.socket:
    """A connection from HAProxy's address that is not made by HAProxy."""
    connection = bed.link.router.socket()
    connection.settimeout(10)
    connection.connect((SERVER4, 25))
    return connection


def send(connection: socket.socket, wire: bytes = TEXT) -> str:
    """One message; its queue id."""
    client = Client(connection)
    client.envelope("a@sender.example", "alice@example.org")
    text = client.data(wire)
    client.quit()
    return text.rsplit(" ", 1)[1]


def reload(bed: Bed, settings: dict) -> None:
    bed.segmilter.reload(settings)
    time.sleep(2.5)  # a worker looks once a second


def mail(bed: Bed, checks: report.Checks) -> None:
    for v6, address in ((False, CLIENT4), (True, CLIENT6)):
        connection = through(bed, v6)
        port = connection.getsockname()[1]
        arrived = bed.postfix.delivered(queue_id := send(connection))
        wanted = f"{queue_id}: client=unknown[{address}]:{port}"
        checks.that(wanted in bed.postfix.log(), f"Postfix logs {wanted}")
        shown = f"[IPv6:{address}]" if v6 else f"[{address}]"
        checks.that(shown in arrived.value("Received"), f"Received names {shown}")
        label = arrived.labels()[0]
        print(f"  {label.raw}")
        checks.that((label.pattern, label.fields.get("via"), label.fields.get("reason")) ==
                    ("unobserved", "balancer", "balancer"), "the header: unobserved, via=balancer, reason=balancer")
        checks.that("segments" not in label.fields, "no segments are shown")
    relayed = Client(through(bed))
    relayed.expect("MAIL FROM:<a@sender.example>", 250)
    code, text = relayed.command("RCPT TO:<b@elsewhere.example>")
    checks.that(code == 554, f"relaying is denied: {code} {text.splitlines()[0]}")
    relayed.quit()


def transparent(bed: Bed, checks: report.Checks, settings: dict) -> None:
    reload(bed, {"proxy": {**settings["proxy"], "balancer_transparent": True}})
    label = bed.postfix.delivered(send(through(bed))).labels()[0]
    print(f"  {label.raw}")
    checks.that(label.pattern not in ("unobserved", "indistinct"), f"balancer_transparent: pattern={label.pattern}")
    checks.that(label.fields.get("via") == "balancer", "the header still says via=balancer")
    checks.that(sum(label.segments or []) == len(TEXT), f"{sum(label.segments or [])} bytes of segments, {len(TEXT)} sent")
    sent = bed.link.client.run("swaks", "--server", ROUTER4, "--from", "a@sender.example", "--to", "alice@example.org", "--tls",
                               "--body", "text " * 2000, stdout=subprocess.PIPE, text=True)
    label = bed.postfix.delivered(re.search(r"queued as (\w+)", sent.stdout).group(1)).labels()[0]
    print(f"  {label.raw}")
    checks.that((label.fields.get("tls"), label.fields.get("window")) == ("yes", "exact") and label.pattern != "unobserved",
                f"under STARTTLS: pattern={label.pattern}, window=exact")
    reload(bed, settings)


def quiet(bed: Bed, haproxy: HAProxy, checks: report.Checks, ours: str, asks_postfix: bool) -> None:
    """Some seconds with only health checks, five per second for each server."""
    before, own = len(bed.postfix.log()), len(bed.segmilter.log())
    time.sleep(3)
    wanted = ("UP", "L7OK" if asks_postfix else "L4OK")
    checks.that(set(haproxy.servers().values()) == {wanted}, f"{ours}: {haproxy.servers()}")
    lines = [line for line in bed.postfix.log()[before:].splitlines() if "smtpd" in line]
    client = r"from unknown\[(198\.51\.100\.1|2001:db8:2::1)\]"
    loud = [line for line in lines if not re.search(f": (dis)?connect {client}", line)]
    # On a busy machine a check may take longer than the 200 ms after which HAProxy gives it up.
    late = [line for line in loud if re.search(f": lost connection after (CONNECT|EHLO) {client}", line)]
    checks.that(len(late) == len(loud) and len(late) <= len(lines) / 10,
                f"{ours}: {len(lines)} lines in Postfix's log, nothing but connect and disconnect {loud[:2]}")
    checks.that(bool(lines) == asks_postfix, f"{ours}: Postfix sees them: {bool(lines)}")
    checks.that(len(bed.segmilter.log()) == own, f"{ours}: nothing in segmilter's {bed.segmilter.log()[own:][:200]}")


def postfix_down(bed: Bed, haproxy: HAProxy, checks: report.Checks) -> None:
    bed.postfix.stop()
    checks.that(haproxy.wait("DOWN"), f"Postfix stopped: {haproxy.servers()}")
    bed.postfix.start()
    checks.that(haproxy.wait("UP"), f"Postfix started: {haproxy.servers()}")
    checks.that(bed.postfix.delivered(send(through(bed))), "and mail passes")


def posers(bed: Bed, checks: report.Checks) -> None:
    """Clients from elsewhere that send a PROXY header, before and after the greeting."""
    claims = {"version 1": b"PROXY TCP4 127.0.0.1 198.51.100.25 4000 25\r\n", "version 2": proxy_v2("127.0.0.1", 4000)}
    for what, claim in claims.items():
        for early in (True, False):
            before = len(bed.postfix.log())
            connection = bed.connect()
            talk = b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@elsewhere.example>\r\nDATA\r\nQUIT\r\n"
            if not early:
                connection.recv(1000)
            connection.sendall(claim + talk)
            said = b""
            try:
                while more := connection.recv(65536):
                    said += more
            except ConnectionResetError:
                pass  # version 2 contains QUIT, so Postfix closed the connection with unread bytes
            answers = [line for line in said.decode(errors="replace").splitlines() if re.match(r"\d{3} ", line)]
            name = f"an impostor, {what}, {'before' if early else 'after'} the greeting"
            checks.that(any(re.match(r"5\d\d 5\.5\.\d", line) for line in answers), f"{name}: {answers}")
            checks.that(not any(line.startswith("354") for line in answers) and b"queued" not in said, f"{name}: no mail is taken")
            connection.close()
            wait_until(lambda: "disconnect from" in bed.postfix.log()[before:], 10, "the end of the session")
            who = set(re.findall(r"connect from (\S+?):\d+", bed.postfix.log()[before:])) - {f"unknown[{ROUTER4S}]"}
            checks.that({name.split("[")[1] for name in who if "::" not in name} == {f"{CLIENT4}]"},
                        f"{name}: to Postfix it is {who}")


def bad_balancers(bed: Bed, checks: report.Checks) -> None:
    good = proxy_v2("192.0.2.99", 4711)
    at_once, in_time = 2.5, 20  # balancer_timeout is 3 s
    rows = {"no header but SMTP": (b"EHLO x\r\n", at_once), "nothing": (b"", in_time), "half a header": (good[:20], in_time),
            "garbage": (bytes(range(256)) * 40, at_once), "a line without end": (b"PROXY TCP4 " + b"1" * 500, at_once),
            "a header of 60 KB": (SIGNATURE + b"\x21\x11\xea\x60" + b"x" * 60000, at_once),
            "a drip": (None, in_time)}
    before, own = len(bed.postfix.log()), len(bed.segmilter.log())
    for what, (first, limit) in rows.items():
        connection, began, said = as_balancer(bed), time.monotonic(), b""
        try:
            if first is None:  # a byte every 0.2 s is not silence, but the header never becomes complete
                connection.settimeout(0.2)
                for byte in good[:-1]:
                    connection.sendall(bytes([byte]))
                    try:
                        said = connection.recv(1000)
                        break
                    except TimeoutError:
                        continue
            else:
                connection.sendall(first)
                said = connection.recv(1000)
        except (ConnectionResetError, BrokenPipeError):
            pass
        took = time.monotonic() - began
        checks.that(not said and took < limit, f"a balancer that sends {what}: closed after {took:.1f} s")
        connection.close()
    lines = bed.segmilter.log()[own:].splitlines()
    checks.that(len(lines) == 1 and "proxy.balancers" in lines[0], f"one line in the log for all of them: {lines}")
    warnings = bed.postfix.warnings()
    strange = [line for line in bed.postfix.log()[before:].splitlines() if "192.0.2.99" in line or line in warnings]
    checks.that(not strange, f"Postfix has not seen them {strange[:2]}")
    checks.that(bed.postfix.delivered(send(through(bed))), "and mail passes")
    # A valid header in two pieces, and the client's commands directly after it.
    connection = as_balancer(bed)
    connection.sendall(good[:10])
    time.sleep(0.3)
    connection.sendall(good[10:])
    arrived = bed.postfix.delivered(send(connection))
    checks.that("[192.0.2.99]" in arrived.value("Received"), "a header in two pieces: Received names the client of the header")


def main() -> int:
    checks = report.Checks()
    need("haproxy")
    settings = {"proxy": {"balancers": BALANCERS, "balancer_timeout": "3s"}}
    with Bed(Path(sys.argv[1]), settings, tag="bal", tls=True, way="haproxy") as bed:
        report.step("HAProxy as in the example")
        haproxy = HAProxy(bed)
        try:
            quiet(bed, haproxy, checks, "checks by SMTP", asks_postfix=True)
            mail(bed, checks)
            # Through HAProxy, and not even through segmilter.
            same_both_ways(checks, bed, {"balanced": through(bed), "direct": bed.connect(2525)},
                           [5, 19, 23, 25, 32, 40, 50, 61, 77], "through HAProxy")
            report.step("balancer_transparent")
            transparent(bed, checks, settings)
            report.step("Postfix stopped and started")
            postfix_down(bed, haproxy, checks)
        finally:
            haproxy.stop()
        report.step("checks that only connect")
        haproxy = HAProxy(bed, smtpchk=False)
        try:
            quiet(bed, haproxy, checks, "checks by connecting", asks_postfix=False)
            report.step("others that send a header")
            posers(bed, checks)
            report.step("balancers that send no good one")
            bad_balancers(bed, checks)
        finally:
            haproxy.stop()
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
