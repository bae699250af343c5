#!/usr/bin/python3
"""Postfix shows the filter a message that differs from what the client sent: the label is the same as without the change, or says that
it is not sure.

    shown.py PROGRAM

Under STARTTLS through the proxy, and in clear beside the wire observer, only Postfix knows the text. A policy service puts fields
before the message; missing fields are appended; header_checks remove fields, replace them and put fields before others. Lines end
in LF alone; DATA comes with the text; the filter is asked by an old milter protocol. Four programs write: a template, one that writes
its header apart, one that writes lines, and one that writes all at once. A field that was added costs nothing. A few bytes more or
less cost confidence. No message gets the name of another program.
"""
import ssl
import sys
from pathlib import Path

from bed import report
from bed.smtp import Client
from bed.testbed import Bed

FROM, TO = "sender@sender.example", "alice@example.org"
FIELDS = [b"Message-ID: <%s@sender.example>", b"Date: Mon, 23 Nov 2026 12:00:00 +0000",
          b"From: A sender of test messages <sender@sender.example>", b"To: Alice <alice@example.org>",
          b"Subject: You have won a prize today", b"X-Test-Id: %s", b"MIME-Version: 1.0",
          b"Content-Type: text/plain; charset=us-ascii"]
TEXT = b"The quick brown fox writes his mail in pieces, and the pieces give him away.\r\n" * 30


def content(tag: str, fields: list[bytes], bare: int) -> tuple[bytes, bytes]:
    """Header with its blank line, and body with the dot; the first `bare` lines of the body end in LF alone."""
    head = b"".join((field % tag.encode() if b"%s" in field else field) + b"\r\n" for field in fields) + b"\r\n"
    return head, TEXT.replace(b"\r\n", b"\n", bare) + b".\r\n"


def template(head: bytes, body: bytes) -> list[bytes]:
    at = head.index(b"Subject: ") + 9
    end = head.index(b"\r\n", at)
    return [head[:at], head[at:end], head[end:], body]


def headers_apart(head: bytes, body: bytes) -> list[bytes]:
    return [head, body]


def lines(head: bytes, body: bytes) -> list[bytes]:
    return (head + body).splitlines(keepends=True)


def whole(head: bytes, body: bytes) -> list[bytes]:
    return [head + body]


WRITERS = {write.__name__: write for write in (template, headers_apart, lines, whole)}
POLICY = "smtpd_recipient_restrictions = check_client_access inline:{{192.0.2.7=PREPEND Received-SPF: pass (sender.example)}}"
CHECK = "header_checks = regexp:{{{{/^{}/ {}}}}}"
UNDONE = {"smtpd_recipient_restrictions": "", "header_checks": "", "always_add_missing_headers": "no", "milter_protocol": "6"}
# The settings of Postfix, what the sender does differently, and whether the label has to stay exactly the same.
CASES = {
    "as it came": ([], {}, True),
    "PREPEND by a policy service": ([POLICY], {}, True),
    "missing fields are added": (["always_add_missing_headers = yes"], {"fields": FIELDS[2:]}, True),
    "PREPEND by header_checks": ([CHECK.format("Subject:", "PREPEND X-Seen: yes")], {}, True),
    "IGNORE by header_checks": ([CHECK.format("X-Test-Mailer:", "IGNORE")], {"fields": FIELDS + [b"X-Test-Mailer: 1.0"]}, False),
    "REPLACE by header_checks": ([CHECK.format("MIME-Version:", "REPLACE MIME-Version: 1.0 (seen)")], {}, False),
    "one bare LF": ([], {"bare": 1}, False),
    "four bare LFs": ([], {"bare": 4}, False),
    "an old milter protocol": (["milter_protocol = 2"], {}, False),
    "DATA and the text in one go": ([], {"early": True}, False),
}


def send(bed: Bed, tls: bool, tag: str, write, fields=None, bare: int = 0, early: bool = False) -> None:
    client = Client(bed.connect(), name="client.example")
    if tls:
        client.expect("STARTTLS", 220)
        made = ssl.create_default_context()
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        client._socket = made.wrap_socket(client._socket)
        client._buffer = b""
        client.command("EHLO client.example")
    client.envelope(FROM, TO)
    pieces = write(*content(tag, fields or FIELDS, bare))
    if early:
        client.send(b"DATA\r\n" + pieces[0])
        pieces = pieces[1:]
        assert client.reply()[0] == 354
    else:
        client.expect("DATA", 354)
    for piece in pieces:
        client.send(piece)
    assert client.reply()[0] == 250
    client.quit()


def look(checks: report.Checks, way: str, tls: bool) -> None:
    how = "under TLS, by the proxy" if tls else "in clear, on the wire"
    with Bed(Path(sys.argv[1]), tag="shown", tls=True, way=way) as bed:
        bed.postfix.set("smtpd_forbid_bare_newline = no")
        labels: dict[str, dict[str, dict]] = {}
        count, changed = 0, ""
        for number, (case, (settings, otherwise, _)) in enumerate(CASES.items()):
            parameter = settings[0].split(" = ")[0] if settings else ""
            if changed and changed != parameter:
                bed.postfix.set(f"{changed} = {UNDONE[changed]}")
            for line in settings:
                bed.postfix.set(line)
            changed = parameter
            for name, write in WRITERS.items():
                send(bed, tls, f"m{number}-{name}", write, **otherwise)
                count += 1
            bed.postfix.wait_delivered("alice", count, 60)
            found = {message.value("X-Test-Id"): message.labels() for message in bed.postfix.mailbox("alice").messages()}
            labels[case] = {name: (found.get(f"m{number}-{name}") or [None])[0] for name in WRITERS}
        rows = []
        for case, (_, _, same) in CASES.items():
            for name in WRITERS:
                label, plain = labels[case][name], labels["as it came"][name]
                fields = label.fields if label else {}
                rows.append([case, name, *(fields.get(key, "") for key in ("pattern", "writer", "window", "confidence", "reason"))])
                named = (fields.get("pattern"), fields.get("writer"))
                right = (plain.pattern, plain.fields["writer"])
                none = named[1] in ("unknown", None) and named[0] in ("indistinct", "unobserved")
                checks.that(label and (named == right or (none and not same)),
                            f"{how}, {case}: {name} is {' '.join(right)} or not known{', and known' if same else ''}: {named}")
                if fields.get("window") == "near" and named == right:
                    checks.that(float(fields["confidence"]) < float(plain.fields["confidence"]),
                                f"{how}, {case}: near has less confidence: {fields['confidence']}")
        report.table(["what Postfix shows", "program", "pattern", "writer", "window", "confidence", "reason"], rows)
        if checks.failed:
            bed.show_logs()


def main() -> int:
    checks = report.Checks()
    look(checks, "listen", tls=True)
    look(checks, "wire", tls=False)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
