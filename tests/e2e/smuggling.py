#!/usr/bin/python3
"""Postfix decides where a message ends, and the label describes exactly these bytes or says that it is not sure.

    smuggling.py PROGRAM

A message contains one of the end-of-data strings of the published smuggling checkers, a second transaction after it, and the true
end at last. smtpd_forbid_bare_newline is off and on; the message is sent in one write, and cut after the string so that the server
answers first. Postfix must see one message or two exactly as it does without the proxy. Then comes the STARTTLS injection
(CVE-2011-0411): a command after STARTTLS in the same segment. All of it is repeated with a Postfix that the wire observer watches.
"""
import ssl
import sys
import time
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import Client
from bed.testbed import DIRECT_PORT, Bed

FROM, TO = "sender@sender.example", "alice@example.org"
STRINGS = {
    "<LF>.<LF>": b"\n.\n", "<LF>.<CRLF>": b"\n.\r\n", "<CRLF>.<LF>": b"\r\n.\n", "<CR>.<CR>": b"\r.\r", "<CR>.<LF>": b"\r.\n",
    "<LF>.<CR>": b"\n.\r", "<CR>.<CRLF>": b"\r.\r\n", "<CRLF>.<CR>": b"\r\n.\r", "<LF>.<CR><CRLF>": b"\n.\r\r\n",
    "<CRLF>.<CR><CRLF>": b"\r\n.\r\r\n", "<CR><CRLF>.<CRLF>": b"\r\r\n.\r\n", "<CRLF><NUL>.<CRLF>": b"\r\n\0.\r\n",
    "<CRLF>.<NUL><CRLF>": b"\r\n.\0\r\n", "<CRLF>..<CRLF>": b"\r\n..\r\n", "<CRLF>. <CRLF>": b"\r\n. \r\n",
    "<CRLF>.<CRLF>": b"\r\n.\r\n",
}


def parts(tag: str, string: bytes) -> tuple[bytes, bytes, bytes]:
    """The outer message up to the end of the string, the commands after it, and the inner message up to the true end."""
    outer = f"Subject: outer\r\nX-Test-Id: {tag}-outer\r\n\r\n".encode() + b"text of the outer message\r\n" * 120 + b"last" + string
    commands = f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()
    inner = f"Subject: inner\r\nX-Test-Id: {tag}-inner\r\n\r\n".encode() + b"smuggled\r\n" * 150 + b".\r\n"
    return outer, commands, inner


def send(bed: Bed, port: int, tag: str, string: bytes, wait: bool) -> None:
    outer, commands, inner = parts(tag, string)
    client = Client(bed.connect(port), name="client.example")
    client.envelope(FROM, TO)
    client.expect("DATA", 354)
    client.send(outer)
    if wait:
        time.sleep(0.05)
    client.send(commands + inner)
    client.send(b"QUIT\r\n")
    client._socket.settimeout(3)
    try:
        while client._socket.recv(65536):
            pass
    except OSError:
        pass
    client.close()


def judge(checks: report.Checks, bed: Bed, name: str, tag: str, string: bytes) -> str:
    """The result of one session through the proxy, compared with the same session without it."""
    delivered = {message.value("X-Test-Id"): message for message in bed.postfix.mailbox("alice").messages()}
    outer, commands, inner = parts(tag, string)
    direct = [key for key in delivered if key.startswith(f"{tag}d-")]
    split = f"{tag}-inner" in delivered
    checks.that(f"{tag}-outer" in delivered and split == (f"{tag}d-inner" in delivered) and len(direct) == 1 + split,
                f"{name}: {1 + split} message(s), as without the proxy")
    sizes = {"outer": len(outer) if split else len(outer + commands + inner), "inner": len(inner)}
    said = []
    for which, size in sizes.items():
        if which == "inner" and not split:
            continue
        message = delivered.get(f"{tag}-{which}")
        labels = message.labels() if message else []
        label = labels[0] if len(labels) == 1 else None
        known = label and label.pattern != "unobserved"
        said.append("labelled" if known else label.fields.get("reason", "?") if label else "none")
        checks.that(label and (not known or sum(label.segments or []) == size),
                    f"{name}: the {which} message's label is of its {size} bytes, or of none ({said[-1]})")
    return f"{'two' if split else 'one'}, {', '.join(said)}"


def inject(checks: report.Checks, bed: Bed) -> None:
    count = bed.postfix.mailbox("alice").count()
    client = Client(bed.connect(), name="client.example")
    client.send(b"STARTTLS\r\nRSET\r\n")
    client.reply()
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    try:
        client._socket = made.wrap_socket(client._socket)
        client._buffer = b""
        client.command("EHLO client.example")
        client.envelope(FROM, TO)
        client.data(b"Subject: injected\r\nX-Test-Id: injected\r\n\r\n" + b"text\r\n" * 300 + b".\r\n")
        client.quit()
    except (ssl.SSLError, OSError):
        checks.that(True, "STARTTLS injection: Postfix ended the session")
        return
    bed.postfix.wait_delivered("alice", count + 1, 10)
    message = next((m for m in bed.postfix.mailbox("alice").messages() if m.value("X-Test-Id") == "injected"), None)
    label = message.labels()[0] if message and message.labels() else None
    checks.that(label and (label.fields.get("window") == "exact" or label.pattern == "unobserved"),
                f"STARTTLS injection: the message is placed, or not known: {label.fields if label else None}")


def smuggle(checks: report.Checks, way: str) -> None:
    report.step(f"way: {way}")
    with Bed(Path(sys.argv[1]), tag="smug", tls=True, way=way) as bed:
        rows = []
        for setting in ("no", "yes"):
            bed.postfix.set(f"smtpd_forbid_bare_newline = {setting}")
            for number, (name, string) in enumerate(STRINGS.items()):
                for wait in (False, True):
                    tag = f"s{setting}{number}{'w' if wait else 'o'}"
                    send(bed, 25, tag, string, wait)
                    send(bed, DIRECT_PORT, f"{tag}d", string, wait)
            wait_until(lambda: not bed.postfix.queued(), 20, "delivery")
            for number, (name, string) in enumerate(STRINGS.items()):
                told = [judge(checks, bed, f"{name} (forbid={setting}{', waited' if wait else ''})",
                              f"s{setting}{number}{'w' if wait else 'o'}", string) for wait in (False, True)]
                rows.append([name, setting, *told])
        report.table(["end of data", "forbid_bare_newline", "in one go", "string, pause, rest"], rows)
        inject(checks, bed)
        if checks.failed:
            bed.show_logs()


def main() -> int:
    checks = report.Checks()
    smuggle(checks, "listen")
    smuggle(checks, "wire")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
