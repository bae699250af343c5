#!/usr/bin/python3
"""Way `transparent`: Postfix has Debian's own master.cf and one more line in main.cf, and sees each client's own address.

    transparent.py PROGRAM [WORD…]        with WORD only the parts whose name has one of them in it

The rules are set and removed by the example's drop-in. Labels are the same as with way `listen`. Postfix never takes one client
for another, whatever ports, families, routes and processes do. Relaying stays denied. Without a proxy Postfix's own port
answers. The doctor finds what is broken, and its lines fix it.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from bed import mta, report, rights
from bed.link import CLIENT4, CLIENT6, NEIGHBOUR4
from bed.postfix import EXAMPLES, STOCK_MASTER
from bed.process import wait_until
from bed.smtp import Client, Refused, stuffed
from bed.testbed import SERVER4, SERVER6, Bed
from fail_open import SETTINGS, ROWS, judge, loaded
from under_tls import Senders, context
from upgrade import under_load

FROM, TO = "sender@sender.example", "alice@example.org"
BODY = b"text of a message\r\n" * 700
SECOND4 = "198.51.100.26"  # of the server, where a test gives it to it
EX_UNAVAILABLE = 69
DESK = {"desk": {"listen": ["127.0.0.1:9125"]}}


def connect(bed: Bed, to: str = SERVER4, source: str = CLIENT4, port: int = 0, space=None) -> socket.socket:
    """Connects from `port` of `source`, even if another connection has that port."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    connection = (space or bed.link.client).socket(family)
    connection.settimeout(60)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if port:
        connection.bind((source, port))
    connection.connect((to, 25))
    return connection


def write(client: Client, tag: str, sizes=None) -> None:
    client.envelope(FROM, TO)
    client.data(stuffed(f"X-Test-Id: {tag}\r\nSubject: {tag}\r\n\r\n".encode() + BODY), sizes)


def arrived(bed: Bed, tag: str):
    def found():
        return next((one for one in bed.postfix.mailbox("alice").messages() if one.value("X-Test-Id") == tag), None)
    wait_until(found, 20, f"{tag} to be delivered")
    return found()


def pattern(message) -> str:
    labels = message.labels()
    return labels[0].pattern if labels else "no label"


def sent(bed: Bed, tag: str, connection: socket.socket | None = None) -> tuple[str, str]:
    """The pattern of a message, and its head."""
    client = Client(connection or bed.connect())
    write(client, tag)
    client.quit()
    message = arrived(bed, tag)
    return pattern(message), message.head().decode()


def from_loopback(bed: Bed) -> int:
    return len(re.findall(r"connect from \S*\[(?:127\.|::1)", bed.postfix.log()))


def ip(bed: Bed, *words: str) -> None:
    bed.link.server.run("ip", *words)


# --- as it should be ---------------------------------------------------------------------------------------------------------

def files(checks: report.Checks, bed: Bed) -> None:
    own, stock = (bed.postfix.conf / "master.cf").read_text(), STOCK_MASTER.read_text()
    checks.that(own.startswith(stock), "master.cf is Debian's, unchanged")
    main = (EXAMPLES / "transparent/main.cf").read_text().partition("# ---- segmilter")[2]
    lines = [line for line in main.splitlines()[1:] if line and not line.startswith("#")]
    checks.that(len(lines) == 1 and lines[0].startswith("smtpd_milters = "), f"main.cf has one more line: {lines}")


def addresses(checks: report.Checks, bed: Bed) -> None:
    """Client, port, relaying."""
    bed.postfix.set("smtpd_client_port_logging = yes")
    for to, client, named in ((SERVER4, CLIENT4, CLIENT4), (SERVER6, CLIENT6, f"IPv6:{CLIENT6}")):
        connection = connect(bed, to, client)
        port = connection.getsockname()[1]
        label, head = sent(bed, f"from-{port}", connection)
        checks.that(label == "official-mta" and f"[{named}]" in head, f"{client}: {label}, and Postfix names it")
        line = f"connect from unknown[{client}]:{port}"
        wait_until(lambda line=line: line in bed.postfix.log(), 10, f"Postfix's log to have the client's port: {line}")
        relaying = Client(connect(bed, to, client))
        relaying.expect("MAIL FROM:<>", 250)
        code, text = relaying.command("RCPT TO:<somebody@example.net>")
        checks.that(code == 554 and "Relay access denied" in text, f"{client} may not relay: {code} {text}")
        relaying.quit()
    checks.that(from_loopback(bed) == 0, "no client was one of loopback to Postfix")


def ports(checks: report.Checks, bed: Bed) -> None:
    """Client ports that the proxy cannot use on loopback."""
    ip(bed, "addr", "add", f"{SECOND4}/24", "dev", "eth0")
    first, second = (Client(connect(bed, to, CLIENT4, 40112)) for to in (SERVER4, SECOND4))
    write(second, "to-the-second", [29, 31, 184])
    write(first, "to-the-first")
    for client in (first, second):
        client.quit()
    found = [(pattern(message), f"[{CLIENT4}]" in message.head().decode())
             for message in (arrived(bed, "to-the-first"), arrived(bed, "to-the-second"))]
    checks.that(found == [("official-mta", True), ("bot-template", True)],
                f"two sessions of one client port, to two addresses of the server, have a label each: {found}")
    label, head = sent(bed, "low", connect(bed, SERVER4, CLIENT4, 587))
    checks.that(label == "official-mta" and f"[{CLIENT4}]" in head, f"from port 587: {label}")
    again = {label for number in range(20)
             for label, head in [sent(bed, f"again-{number}", connect(bed, SERVER4, CLIENT4, 40200))] if f"[{CLIENT4}]" in head}
    checks.that(again == {"official-mta"}, f"20 sessions of one client port, one after the other: {again}")
    for number in range(5):  # the client resets, and comes again from the same port at once
        connection = connect(bed, SERVER4, CLIENT4, 40300)
        client = Client(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    label, _ = sent(bed, "after-resets", connect(bed, SERVER4, CLIENT4, 40300))
    checks.that(label == "official-mta", f"after five that were reset: {label}")
    ip(bed, "addr", "del", f"{SECOND4}/24", "dev", "eth0")


def link_local(checks: report.Checks, bed: Bed) -> None:
    """From the router, which is on the server's link."""
    listing = bed.link.server.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link", capture_output=True, text=True).stdout
    server = re.search(r"inet6 (fe80\S+)/64", listing)[1]
    connection = bed.link.router.socket(socket.AF_INET6)
    connection.settimeout(60)
    index = re.match(r"(\d+):", bed.link.router.run("ip", "-o", "link", "show", "server", capture_output=True, text=True).stdout)[1]
    connection.connect((server, 25, 0, int(index)))
    client = connection.getsockname()[0].partition("%")[0]
    label, head = sent(bed, "link-local", connection)
    checks.that(label == "official-mta" and client in head, f"a link-local client, {client}: {label}")


# As firewalld filters reverse paths, and as a usual firewall drops what it does not know.
CONNTRACK = """
table inet tracked {{
  chain reverse_path {{ type filter hook prerouting priority raw; policy accept;
    fib saddr . iif oif missing drop
  }}
  chain input {{ type filter hook input priority filter; policy {policy};
    ct state invalid drop
    ct state established,related accept
    iif lo accept
    meta l4proto ipv6-icmp accept
    tcp dport 25 accept
  }}
}}
"""


def tracked(checks: report.Checks, bed: Bed) -> None:
    """Connection tracking and reverse path filtering, as a usual firewall has them."""
    for interface in ("all", "eth0", "lo"):
        bed.link.server.sysctl(f"ipv4/conf/{interface}/rp_filter", 1)
    subprocess.run(bed.link.server.command("nft", "-f", "-"), input=CONNTRACK.format(policy="drop"), text=True, check=True)
    found = [sent(bed, f"tracked-{number}", connect(bed, to, client, 40400 + number % 2))[0]
             for number, (to, client) in enumerate(((SERVER4, CLIENT4), (SERVER6, CLIENT6)) * 3)]
    checks.that(set(found) == {"official-mta"}, f"with connection tracking, rp_filter and a firewall that drops by default: {found}")
    bed.link.server.run("nft", "delete", "table", "inet", "tracked")


def own_clients(checks: report.Checks, bed: Bed) -> None:
    for to in (SERVER4, "127.0.0.1"):
        connection = bed.link.server.socket(socket.AF_INET)
        connection.connect((to, 25))
        label, head = sent(bed, f"own-{to}", connection)
        checks.that(f"[{to}]" in head and label in ("no label", "unobserved"), f"the machine's own mail, to {to}, is left alone ({label})")


def at_the_listener(checks: report.Checks, bed: Bed) -> None:
    """A program of this machine connects to the proxy itself: nobody may reach Postfix from loopback in this way."""
    before = from_loopback(bed)
    connection = bed.link.server.socket(socket.AF_INET)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", 10024))
    client = Client(connection, name="")
    code, text = client.reply()
    checks.that(code == 421 and from_loopback(bed) == before, f"a client on loopback: {code} {text}")


def limits(checks: report.Checks, bed: Bed) -> None:
    """Postfix's anvil counts each client, and not the proxy as one client."""
    bed.postfix.set("smtpd_client_connection_count_limit = 2")
    neighbour = bed.link.attach_neighbour()
    sessions = [Client(bed.connect()) for _ in range(2)]
    third = Client(bed.connect(), name="")
    code, text = third.reply()
    checks.that(code == 421 and CLIENT4 in text, f"one session too many of a client: {code} {text}")
    label, head = sent(bed, "neighbour", connect(bed, SERVER4, NEIGHBOUR4, space=neighbour))
    checks.that(label == "official-mta" and f"[{NEIGHBOUR4}]" in head, f"another client is served: {label}")
    for session in (*sessions, third):
        session.close()
    bed.postfix.set("smtpd_client_connection_count_limit = 0")


def postscreen(checks: report.Checks, bed: Bed) -> None:
    """On port 25, as postscreen(8) has it set up: a client that waits for its greeting is passed on."""
    master = bed.postfix.conf / "master.cf"
    before = master.read_text()
    master.write_text(re.sub(r"(?m)^smtp      inet .*$", "smtp      inet  n       -       y       -       1       postscreen\n"
                             "smtpd     pass  -       -       y       -       -       smtpd\n"
                             "dnsblog   unix  -       -       y       -       0       dnsblog\n"
                             "tlsproxy  unix  -       -       y       -       0       tlsproxy", before))
    bed.postfix.set("postscreen_greet_wait = 2s")
    label, head = sent(bed, "postscreen")
    checks.that(label == "official-mta" and f"[{CLIENT4}]" in head, f"behind postscreen on port 25: {label}")
    checks.that(f"PASS NEW [{CLIENT4}]" in bed.postfix.log(), "postscreen has seen the client's address")
    master.write_text(before)
    bed.postfix.set("postscreen_greet_wait = 6s")


def no_right(checks: report.Checks, bed: Bed) -> None:
    rights.look(checks, "while it makes transparent sockets", bed.segmilter.process.pid, 65534)


# --- broken ------------------------------------------------------------------------------------------------------------------

def examine(bed: Bed) -> dict:
    done = bed.link.server.run(bed.program, "doctor", "-c", bed.segmilter.config, "--postfix-config", bed.postfix.conf,
                               "--format", "json", check=False, capture_output=True, text=True, timeout=180)
    return json.loads(done.stdout)


def mended(checks: report.Checks, bed: Bed, what: str, words: str, after=lambda: None) -> None:
    """The doctor says `words`; the lines of all that it finds are given to a shell; then it finds nothing."""
    found = examine(bed)
    bad = [one for one in found["findings"] if one["state"] == "FAIL"]
    checks.that(any(words in one["found"] for one in bad), f"doctor, {what}: {[one['found'] for one in bad]}")
    for line in found["mend"]:
        print("      $", line.replace(str(bed.root), "…"))
        bed.link.server.run("/bin/sh", "-c", line.replace("segmilter nft", f"{bed.program} nft"), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    after()
    left = [one["found"] for one in examine(bed)["findings"] if one["state"] == "FAIL"]
    checks.that(not left, f"doctor, {what}, after its lines: {left or 'no findings'}")


def route_missing(checks: report.Checks, bed: Bed) -> None:
    """A client is told 421, and comes from no other address."""
    bed.segmilter.stop()
    bed.segmilter.write({"proxy": {"connect_timeout": "2s"}})
    bed.segmilter.start()
    before = from_loopback(bed), bed.postfix.log().count(f"connect from unknown[{CLIENT4}]")
    for words, back in ((("rule", "del", "from", "127.0.0.0/8", "iif", "lo", "lookup", "29549", "priority", "29549"), "no rule"),
                        (("route", "del", "local", "0.0.0.0/0", "dev", "lo", "table", "29549"), "no route")):
        ip(bed, *words)
        client = Client(bed.connect(), name="")
        began = time.monotonic()
        code, text = client.reply()
        checks.that(code == 421 and time.monotonic() - began < 5, f"{back}: {code} {text}")
        checks.that("does not come back: is the routing rule there" in bed.segmilter.log(), "the log says why")
        client.close()
        checks.that((from_loopback(bed), bed.postfix.log().count(f"connect from unknown[{CLIENT4}]")) == before,
                    "and Postfix has seen nobody")
        mended(checks, bed, back, back)
        before = from_loopback(bed), bed.postfix.log().count(f"connect from unknown[{CLIENT4}]")
    label, _ = sent(bed, "routed-again")
    checks.that(label == "official-mta", f"with the route: {label}")
    bed.segmilter.stop()
    bed.segmilter.write()
    bed.segmilter.start()


def settings_wrong(checks: report.Checks, bed: Bed) -> None:
    """Faults of Postfix's settings."""
    bed.postfix.set("smtpd_upstream_proxy_protocol = haproxy")
    mended(checks, bed, "Postfix waits for a PROXY header", "it waits for a PROXY header", lambda: time.sleep(2))
    bed.postfix.stop()
    bed.link.server.run("postconf", "-c", bed.postfix.conf, "-e", f"inet_interfaces = {SERVER4}")
    bed.postfix.start()
    client = Client(bed.connect(), name="")
    code, text = client.reply()
    checks.that(code == 421, f"Postfix is not on loopback: {code} {text}")
    client.close()
    mended(checks, bed, "Postfix is not on loopback", "Connection refused", bed.postfix.watch)
    label, _ = sent(bed, "mended")
    checks.that(label == "official-mta", f"with Postfix on loopback: {label}")


def postfix_down(checks: report.Checks, bed: Bed) -> None:
    bed.postfix.stop()
    client = Client(bed.connect(), name="")
    code, text = client.reply()
    checks.that(code == 421 and "4.3.2" in text, f"Postfix is stopped: {code} {text}")
    client.close()
    bed.postfix.start()
    label, _ = sent(bed, "postfix-back")
    checks.that(label == "official-mta", f"Postfix is back: {label}")


def fall_through(checks: report.Checks, bed: Bed) -> None:
    """Without a proxy, and where it cannot be started, Postfix's own port answers; sessions that are open go on."""
    between, in_message = bed.smtp(), bed.smtp()
    in_message.envelope(FROM, TO)
    bed.segmilter.let_go()
    bed.segmilter.process.terminate()
    wait_until(lambda: "draining" in bed.segmilter.log(), 10, "the drain")
    time.sleep(0.3)
    label, _ = sent(bed, "draining")
    checks.that(label in ("no label", "unobserved"), f"while it drains Postfix's own port answers ({label})")
    in_message.data(stuffed(b"X-Test-Id: open\r\nSubject: open\r\n\r\n" + BODY))
    checks.that(pattern(arrived(bed, "open")) == "official-mta", "a session in a transaction finishes it, with its label")
    checks.that(between.reply()[0] == 421, "one between two is told 421")
    bed.segmilter.process.wait(20)
    ip(bed, "rule", "del", "from", "127.0.0.0/8", "iif", "lo", "lookup", "29549", "priority", "29549")
    done = bed.link.server.run(bed.program, "run", "-c", bed.segmilter.config, check=False, capture_output=True, text=True, timeout=60)
    checks.that(done.returncode == EX_UNAVAILABLE and "segmilter nft --routing" in done.stderr,
                f"without its routing rule it does not start: {done.returncode} {done.stderr.strip().splitlines()[-1:]}")
    for v6 in (False, True):
        label, _ = sent(bed, f"gone-{v6}", bed.connect(v6=v6))
        checks.that(label == "no label", f"meanwhile Postfix's own port answers, {'IPv6' if v6 else 'IPv4'} ({label})")
    stays = bed.smtp()
    bed.drop_in("ExecStartPre")
    bed.segmilter.start()
    label, _ = sent(bed, "back")
    checks.that(label == "official-mta", f"started again: {label}")
    write(stays, "stays")
    stays.quit()
    checks.that(pattern(arrived(bed, "stays")) == "no label" or pattern(arrived(bed, "stays")) == "unobserved",
                "a session that Postfix took meanwhile stays with it")


def hidden(checks: report.Checks, bed: Bed) -> None:
    """Combinations of settings that `check` refuses."""
    for what, settings in (("another machine", {"upstream": f"{SERVER4}:25"}), ("itself", {"listen": ["127.0.0.1:25"], "tproxy_ports": []}),
                           ("a wildcard", {"upstream": "0.0.0.0:25"})):
        bed.segmilter.write({"proxy": settings})
        for command in ("check", "run"):
            done = bed.link.server.run(bed.program, command, "-c", bed.segmilter.config, check=False, capture_output=True, text=True, timeout=60)
            checks.that(done.returncode == 78, f"{command} refuses {what}: {done.returncode} {(done.stderr + done.stdout).strip().splitlines()[:1]}")
    bed.segmilter.write()


def reloads(checks: report.Checks, bed: Bed) -> None:
    source = subprocess.Popen(bed.link.client.command("smtp-source", "-s", 10, "-m", 200, "-l", 20_000, "-f", FROM, "-t", TO, f"{SERVER4}:25"))
    bed.postfix.mailbox("alice").clear()
    for _ in range(20):
        bed.segmilter.reload()
    checks.that(source.wait(60) == 0, "20 reloads while 10 sessions send: nobody is refused")
    messages = bed.postfix.wait_delivered("alice", 200)
    checks.that(len(messages) == 200 and all(message.labels() for message in messages), f"{len(messages)} of 200 delivered, all with a label")


def gone(checks: report.Checks, bed: Bed) -> None:
    bed.segmilter.stop()
    bed.drop_in("ExecStopPost")
    rules = bed.link.server.run("nft", "list", "ruleset", capture_output=True, text=True).stdout
    routing = "".join(bed.link.server.run("ip", family, "rule", capture_output=True, text=True).stdout for family in ("-4", "-6"))
    checks.that("segmilter" not in rules and "29549" not in routing, "the drop-in's last commands leave nothing behind")


# --- beside way listen -------------------------------------------------------------------------------------------------------

def by_ipv6(senders: Senders) -> None:
    """The same programs, which are told the server's other address."""
    bed = senders.bed
    senders.relay.set(f"relayhost = [{SERVER6}]:25")
    house = mta.House(bed.link.client, bed.root / "house6", SERVER6)
    exim = [(name, mta.Exim(house, chunking)) for name, chunking in (("Exim", False), ("Exim, BDAT", True))]
    for kind in ("clear", "TLS"):
        senders.relay.set(f"smtp_tls_security_level = {'encrypt' if kind == 'TLS' else 'none'}")
        way = f"{kind}, IPv6"
        _, path = senders.note("Postfix", 18_000, way)
        senders.run("swaks", "--server", "127.0.0.1", "--port", "2525", "--from", FROM, "--to", TO, "--data", f"@{path}")
        _, path = senders.note("swaks", 18_000, way)
        senders.run("swaks", "-6", *(["--tls"] if kind == "TLS" else []), "--server", SERVER6, "--helo", "client.example",
                    "--from", FROM, "--to", TO, "--data", f"@{path}")
        for name, program in exim:
            _, path = senders.note(name, 18_000, way)
            program.send(kind, FROM, TO, path)


def labels_by(program: Path, way: str) -> dict[tuple, tuple]:
    with Bed(program, tag=f"tr{way[:2]}", tls=True, way=way) as bed:
        senders = Senders(bed)
        for kind in ("clear", "TLS"):
            if kind == "TLS":
                senders.relay.set("smtp_tls_security_level = encrypt")
            for size in (2_500, 18_000):
                for send in (senders.postfix, senders.exim, senders.exim_bdat, senders.swaks, senders.curl, senders.msmtp):
                    send(size, kind)
        by_ipv6(senders)
        messages = bed.postfix.wait_delivered("alice", len(senders.sent))
        found = {one.value("X-Test-Id"): one.labels()[0].fields for one in messages if one.labels()}
        # How msmtp's lines are joined depends on when they are acknowledged: by every way, some of its messages show no gait.
        keys = {one: [key for key in ("pattern", "writer", "block", "gait", "tls", "window") if one.program != "msmtp" or key != "gait"]
                for one in senders.sent}
        result = {(one.program, one.size, one.way): tuple(found.get(one.tag, {}).get(key) for key in keys[one]) for one in senders.sent}
        for v6 in (False, True):
            for tls in (False, True):
                for writer, sizes in (("stream", None), ("template", [29, 31, 184])):
                    tag = f"{writer}-{'v6' if v6 else 'v4'}-{'tls' if tls else 'clear'}"
                    client = bed.smtp(v6=v6)
                    if tls:
                        client.start_tls(context())
                    write(client, tag, sizes)
                    client.quit()
                    fields = arrived(bed, tag).labels()[0].fields
                    result[tag] = tuple(fields.get(key) for key in ("pattern", "writer", "gait", "segments", "window", "tls"))
        return result


def like_listen(checks: report.Checks, program: Path) -> None:
    ways = {way: labels_by(program, way) for way in ("listen", "transparent")}
    different = {key: (value, ways["transparent"].get(key)) for key, value in ways["listen"].items() if ways["transparent"].get(key) != value}
    checks.that(not different and not any(None in value[:1] for value in ways["transparent"].values()),
                f"{len(ways['listen'])} messages of Postfix, Exim by DATA and BDAT, swaks, curl, msmtp and played writers, IPv4 and IPv6, "
                f"in clear and under TLS: labels as by way listen {different or ''}")


# --- under load --------------------------------------------------------------------------------------------------------------

ROWS_HERE = ("the filter is killed", "the filter is stopped (SIGSTOP)", "the proxy is killed", "the proxy is stopped (SIGSTOP)",
             "the supervisor is killed", "segmilter is restarted", "Postfix is stopped and started")


def failures(checks: report.Checks, program: Path) -> None:
    rows = []
    with Bed(program, SETTINGS, tag="tropen", way="transparent") as bed:
        load = loaded(bed)
        for row in ROWS:
            if row.name not in ROWS_HERE:
                continue
            report.step(row.name)
            rows.append(judge(checks, row, load.run(row)))
        checks.that(from_loopback(bed) == 0, "under all that no client was one of loopback to Postfix")
        if checks.failed:
            bed.show_logs()
    report.table(["what fails", "delivered", "twice", "deferred", "longest delay", "labels"], rows)


def upgrades(checks: report.Checks, program: Path) -> None:
    with Bed(program, {"proxy": {"max_sessions_per_address": 200, "drain_timeout": "10s"}}, tag="trup", way="transparent") as bed:
        under_load(checks, bed, program)
        label, _ = sent(bed, "upgraded")
        checks.that(label == "official-mta", f"after the upgrades: {label}")
        checks.that(from_loopback(bed) == 0, "no client was one of loopback to Postfix")


PARTS = (files, no_right, addresses, ports, link_local, tracked, own_clients, at_the_listener, limits, postscreen, reloads, route_missing,
         settings_wrong, postfix_down, fall_through, hidden, gone)
ALONE = (like_listen, failures, upgrades)


def main() -> int:
    checks = report.Checks()
    program = Path(sys.argv[1])

    def wanted(part) -> bool:
        return len(sys.argv) == 2 or any(word in part.__name__ for word in sys.argv[2:])
    if any(map(wanted, PARTS)):
        with Bed(program, DESK, tag="trans", way="transparent") as bed:
            for part in filter(wanted, PARTS):
                report.step(part.__name__.replace("_", " "))
                part(checks, bed)
            if checks.failed:
                bed.show_logs()
    for part in filter(wanted, ALONE):
        report.step(part.__name__.replace("_", " "))
        part(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
