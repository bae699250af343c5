#!/usr/bin/python3
"""Packets that TCP refuses, and packets without bytes of the stream, change no label: it stays the same, or says that it is not sure.

    ghosts.py PROGRAM [--flood MESSAGES]

The same sender sends to Postfix through the proxy (deployment listen) and to Postfix beside the wire observer (deployment wire). It
sends packets that the server refuses (wrong checksum, old timestamp, ahead of the stream, out of the window) between the segments of
its message, to hide where its program cut. It sends urgent data, uses Fast Open, and sends data with the handshake's last ACK.
Strangers send packets by the hundred thousand, to existing connections and to none. `--flood`: the number of messages that are
labelled during the flood (default forty).
"""
import argparse
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.ghosts import ACK, PSH, SYN, Flood, Forger, blind, packet, strangers
from bed.link import CLIENT4, SERVER4
from bed.smtp import Client, stuffed
from bed.testbed import Bed
from under_tls import FROM, TO, cuts, message

SIZE = 9_000
RATE = 100_000
MSG_FASTOPEN = 0x20000000
NEW_ISN = 0x1234567  # these are the connection's sequence numbers only by chance


class Attack:
    """Sends one message in the writes of a bot's template, or in one write, with other packets in between."""

    def __init__(self, bed: Bed, forger: Forger, tag: str, writer: str):
        self.bed, self.forger, self.tag = bed, forger, tag
        self.wire = stuffed(message(tag, SIZE))
        self.sizes = cuts(self.wire, writer)
        self.client = bed.smtp()
        self.socket = self.client._socket
        self.client.envelope(FROM, TO)

    def begin(self):
        """Sends DATA; returns the TCP numbers of the message's first byte."""
        self.client.expect("DATA", 354)
        return self.forger.learn(self.socket)

    def finish(self):
        """Sends the message write by write, with pauses so that each write is a segment. Returns its label."""
        self.client.write(self.wire, self.sizes, 0.01)
        self.client.reply()
        self.client.quit()
        return label_of(self.bed, self.tag)


def label_of(bed: Bed, tag: str):
    """Of the delivered message; deletes all that was delivered."""
    box, deadline = bed.postfix.mailbox("alice"), time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in box.messages():
            if one.value("X-Test-Id") == tag:
                box.clear()
                return one.labels()[0]
        time.sleep(0.02)
    raise RuntimeError(f"message {tag} was not delivered")


def said(label) -> str:
    keys = ("score", "confidence", "reason")
    return " ".join([label.pattern, *(f"{key}={label.fields[key]}" for key in keys if key in label.fields)])


def cover(attack: Attack, **packets) -> None:
    """Full segments that cover the whole message, sent before it."""
    numbers = attack.begin()
    for at in range(0, SIZE, 1448):
        attack.forger.send(attack.socket, numbers, at, attack.wire[at:at + 1448], **packets)


def cover_late(attack: Attack) -> None:
    """The same after its first two segments, so that bytes are covered too that the server has already accepted."""
    numbers = attack.begin()
    for size in attack.sizes[:2]:
        attack.client.send(attack.wire[:size])
        attack.wire = attack.wire[size:]
        time.sleep(0.01)
    attack.sizes = attack.sizes[2:]
    for at in range(0, SIZE, 1448):
        attack.forger.send(attack.socket, numbers, at, b"g" * 1448, good=False)


def ahead(attack: Attack) -> None:
    numbers = attack.begin()
    for number in range(4_200):
        attack.forger.send(attack.socket, numbers, SIZE + number * 60, b"g" * 60, good=False)


def out_of_window(attack: Attack) -> None:
    numbers = attack.begin()
    for number in range(200):
        attack.forger.send(attack.socket, numbers, (20 << 20) + number * 1448, b"g" * 1448)


def strangers_guess(attack: Attack) -> None:
    """20,000 packets by an attacker who knows both ends of the connection, but no sequence number."""
    attack.begin()
    with Flood(attack.bed.link.client, blind(20_000, attack.socket), RATE) as flood:
        while flood.sent < 20_000:
            time.sleep(0.01)


def urgent(attack: Attack) -> None:
    attack.socket.send(b"!", socket.MSG_OOB)
    attack.begin()


def urgent_in_text(attack: Attack) -> None:
    attack.begin()
    attack.client.send(attack.wire[:100])
    attack.socket.send(b"!", socket.MSG_OOB)
    attack.wire, attack.sizes = attack.wire[100:], []


def other_syn(attack: Attack) -> None:
    """A SYN with the same ends and another initial number: the server ignores it."""
    attack.begin()
    ends = (CLIENT4, attack.socket.getsockname()[1]), (SERVER4, 25)
    attack.forger._raw.sendto(packet(*ends, NEW_ISN, 0, SYN, options=struct.pack("!BBH", 2, 4, 536)), (SERVER4, 0))


# Packets between a template's segments, and the permitted labels: never that of a program that writes at once.
HIDING = {
    "cover, wrong checksum": lambda attack: cover(attack, good=False),
    "cover, old timestamp": lambda attack: cover(attack, stamp=-(1 << 30)),
    "cover, acknowledges what was not sent": lambda attack: cover(attack, ack=0x7fffffff),
    "cover, late": cover_late,
    "4200 packets ahead": ahead,
}
# Packets of strangers, or without bytes of the stream: the label must be the same as without them.
HARMLESS = {
    "beyond the window": out_of_window,
    "20,000 packets with random numbers": strangers_guess,
    "SYN with another number": other_syn,
}


def baseline(bed: Bed, forger: Forger, writer: str):
    attack = Attack(bed, forger, f"plain0-{writer}", writer)
    attack.begin()
    return attack.finish()


def same(label, plain) -> bool:
    """True if both labels agree. Retransmission marks are not compared, because the machine is sometimes slow."""
    return label.fields["segments"] == plain.fields["segments"] and label.pattern == plain.pattern and "reason" not in label.fields


def hide(checks: report.Checks, bed: Bed, forger: Forger) -> None:
    template, whole = (baseline(bed, forger, writer) for writer in ("template", "whole"))
    checks.that(template.pattern == "bot-template" and whole.pattern == "official-mta",
                f"without packets between: {said(template)}; {said(whole)}")
    for number, (name, act) in enumerate(HIDING.items()):
        attack = Attack(bed, forger, f"hide{number}", "template")
        act(attack)
        label = attack.finish()
        reason = label.fields.get("reason")
        checks.that(label.pattern == "bot-template" or (label.pattern in ("unobserved", "noisy", "indistinct") and reason),
                    f"template, {name}: {said(label)}")
    for number, (name, act) in enumerate(HARMLESS.items()):
        for writer, plain in (("template", template), ("whole", whole)):
            attack = Attack(bed, forger, f"other{number}-{writer}", writer)
            act(attack)
            label = attack.finish()
            checks.that(same(label, plain), f"{writer}, {name}: {said(label)}")
    for number, act in enumerate((urgent, urgent_in_text)):
        attack = Attack(bed, forger, f"urgent{number}", "whole")
        act(attack)
        label = attack.finish()
        checks.that(label.pattern == "unobserved" and label.fields["reason"] == "lost",
                    f"whole, {act.__name__.replace('_', ' ')}: {said(label)}")


def taken_with_syn(bed: Bed) -> int:
    """The number of connections whose first bytes the server's kernel has taken from the SYN."""
    names, values = [line.split() for line in bed.link.server.run("cat", "/proc/net/netstat", stdout=subprocess.PIPE, text=True)
                     .stdout.splitlines() if line.startswith("TcpExt:")]
    return int(values[names.index("TCPFastOpenPassive")])


def fast_open(checks: report.Checks, bed: Bed, way: str) -> None:
    """The client's first bytes come with its SYN, with the handshake's last ACK, and as a whole session without waiting."""
    bed.link.server.sysctl("ipv4/tcp_fastopen", 0x403)  # for every new listener, without an option of its own
    listener = bed.postfix if way == "wire" else bed.segmilter
    listener.stop()
    listener.start()
    for ask in (True, False):  # the first connection fetches the cookie
        connection = bed.link.client.socket()
        connection.sendto(b"", MSG_FASTOPEN, (SERVER4, 25)) if ask else None
        if not ask:
            connection.sendto(b"EHLO client.example\r\n", MSG_FASTOPEN, (SERVER4, 25))
            talk(checks, bed, connection, "with the SYN")
        connection.close()
    connection = bed.link.client.socket()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)  # of a client: its ACK waits for data
    connection.connect((SERVER4, 25))
    connection.send(b"EHLO client.example\r\n")
    talk(checks, bed, connection, "with the handshake's last ACK")
    connection = bed.link.client.socket()
    wire = stuffed(message("blind", SIZE))
    dialogue = f"EHLO client.example\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()
    connection.sendto(dialogue + wire[:1000], MSG_FASTOPEN, (SERVER4, 25))
    time.sleep(0.05)
    connection.sendall(wire[1000:])
    label = label_of(bed, "blind")
    connection.close()
    checks.that(label.segments and label.segments[0] == 1000 and sum(label.segments) == len(wire)
                and "reason" not in label.fields, f"a message that begins in the SYN: {label.fields.get('segments')} {said(label)}")
    checks.that(taken_with_syn(bed) == 2, f"{taken_with_syn(bed)} connections of 2 were opened by their first bytes")


def talk(checks: report.Checks, bed: Bed, connection: socket.socket, name: str) -> None:
    tag = name.split()[-1].lower()
    connection.settimeout(20)
    reader = connection.makefile("rb")

    def reply(code: bytes) -> None:
        while (line := reader.readline())[3:4] == b"-":
            pass
        if not line.startswith(code):
            raise RuntimeError(f"{line!r} where {code!r} was wanted")

    reply(b"220")
    reply(b"250")
    for line, code in ((f"MAIL FROM:<{FROM}>", b"250"), (f"RCPT TO:<{TO}>", b"250"), ("DATA", b"354")):
        connection.sendall(line.encode() + b"\r\n")
        reply(code)
    connection.sendall(stuffed(message(tag, SIZE)))
    reply(b"250")
    label = label_of(bed, tag)
    checks.that(label.pattern == "official-mta" and "reason" not in label.fields and sum(label.segments) >= SIZE,
                f"first bytes {name}: {said(label)}")


def flood(checks: report.Checks, bed: Bed, count: int) -> None:
    """Strangers send packets for no connection, and for an idle one, while mail is labelled."""
    idle = bed.smtp()
    half = RATE // 2
    with Flood(bed.link.client, strangers(20_000), half) as first, \
            Flood(bed.link.client, blind(20_000, idle._socket, size=1), half) as second:
        labels = []
        for number in range(count):
            writer = ("template", "whole")[number % 2]
            client = bed.smtp()
            client.envelope(FROM, TO)
            wire = stuffed(message(f"flood{number}", SIZE))
            client.expect("DATA", 354)
            if number % 10 < 2:
                time.sleep(0.6)  # none of segmilter's descriptors is readable for longer than the packets need to fill a ring
            client.write(wire, cuts(wire, writer), 0.005)
            client.reply()
            client.quit()
            labels.append((writer, label_of(bed, f"flood{number}")))
    idle.quit()
    rates = [one.sent / one.seconds for one in (first, second)]
    right = sum(label.pattern == {"template": "bot-template", "whole": "official-mta"}[writer] and "reason" not in label.fields
                for writer, label in labels)
    wrong = sorted({said(label) for writer, label in labels
                    if label.pattern not in ("unobserved", {"template": "bot-template", "whole": "official-mta"}[writer])})
    checks.that(right == count and not wrong, f"{sum(rates):.0f} packets a second ({first.sent + second.sent} in all): "
                f"{right} of {count} messages labelled as without them {wrong}")


def run(checks: report.Checks, program: Path, way: str, messages: int) -> None:
    report.step(f"way: {way}")
    with Bed(program, tag="ghost", way=way) as bed:
        # Otherwise the client's kernel would reset a connection that it does not know.
        with Forger(bed.link.client) as forger:
            hide(checks, bed, forger)
            fast_open(checks, bed, way)
        flood(checks, bed, messages)
        if checks.failed:
            bed.show_logs()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=Path)
    parser.add_argument("--flood", type=int, default=40)
    parser.add_argument("--way")
    arguments = parser.parse_args()
    checks = report.Checks()
    for way in [arguments.way] if arguments.way else ["listen", "wire"]:
        run(checks, arguments.program, way, arguments.flood)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
