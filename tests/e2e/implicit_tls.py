#!/usr/bin/python3
"""Port 465, and clients at the wrong port: their sessions are relayed, and their mail is not judged.

    implicit_tls.py PROGRAM

Postfix's smtpd in wrapper mode runs behind the proxy, and beside it one without a proxy; then under the wire observer. Mail over
implicit TLS is delivered and `unobserved`, because the beginning of a message cannot be seen. Plain SMTP to a port of TLS, and TLS
to a port of SMTP, end with the same bytes as without segmilter. The next session is labelled as usual.
"""
import ssl
import sys
from pathlib import Path

from bed import report
from bed.smtp import Client, stuffed
from bed.testbed import DIRECT_PORT, SERVER4, Bed
from under_tls import FROM, TO, context, message

WRAPPED, DIRECT = 465, 10466  # through the proxy, and around it
WRAPPER = " inet n - n - - smtpd -o smtpd_tls_wrappermode=yes"
HELLO = b"EHLO client.example\r\n"


def implicit(bed: Bed, port: int, tag: str, version: ssl.TLSVersion | None = None) -> None:
    client = Client(context(version).wrap_socket(bed.connect(port)), name="client.example")
    for number in range(2):  # messages a session
        client.envelope(FROM, TO)
        client.data(stuffed(message(f"{tag}{number}", 5_000 + 9_000 * number)))
    client.quit()


def heard(bed: Bed, port: int, said: bytes) -> bytes:
    """All that the server answers to `said` until it closes the session or is silent."""
    connection = bed.connect(port)
    connection.sendall(said)
    connection.settimeout(2)
    answer = b""
    try:
        while more := connection.recv(65536):
            answer += more
    except OSError:
        pass
    connection.close()
    return answer


def client_hello() -> bytes:
    """The first bytes of a TLS client."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context().wrap_bio(into, out, server_hostname="mx1.example.org").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def judge(checks: report.Checks, bed: Bed, name: str, port: int) -> None:
    count = bed.postfix.mailbox("alice").count()
    for number, version in enumerate((None, ssl.TLSVersion.TLSv1_2)):
        implicit(bed, port, f"{name}{number}", version)
    bed.postfix.wait_delivered("alice", count + 4, 30)
    found = {one.value("X-Test-Id"): one for one in bed.postfix.mailbox("alice").messages()}
    labels = [found[tag].labels() for tag in (f"{name}{number}{which}" for number in (0, 1) for which in (0, 1)) if tag in found]
    said = sorted({f"{one[0].pattern} {one[0].fields.get('reason', '-')}" for one in labels if one})
    checks.that(len(labels) == 4 and all(len(one) == 1 and one[0].pattern == "unobserved" for one in labels),
                f"{name}: {len(labels)} of 4 messages over implicit TLS delivered, each with one label: {', '.join(said)}")


def through_the_proxy(checks: report.Checks, program: Path) -> None:
    services = (f"127.0.0.1:10465{WRAPPER} -o smtpd_upstream_proxy_protocol=haproxy\n"
                f"{SERVER4}:{DIRECT}{WRAPPER}\n")
    # Port 25 leads to the wrapped smtpd as well: the wrong port for a plain client.
    proxy = {"proxy": {"listen": [f"{SERVER4}:25", f"{SERVER4}:{WRAPPED}"], "upstream": "127.0.0.1:10465"}}
    with Bed(program, settings=proxy, tag="imp", tls=True, services=services) as bed:
        judge(checks, bed, "proxy", WRAPPED)
        plain, direct = heard(bed, 25, HELLO), heard(bed, DIRECT, HELLO)  # a TLS alert
        checks.that(plain == direct, f"plain SMTP to a port of TLS is answered as without the proxy ({plain!r})")
        judge(checks, bed, "again", WRAPPED)
    with Bed(program, tag="imp", tls=True) as bed:
        hello = client_hello()
        through, direct = heard(bed, 25, hello), heard(bed, DIRECT_PORT, hello)
        checks.that(b"220 " in through and through == direct,
                    f"TLS to a port of SMTP is answered as without the proxy ({through[-60:]!r})")
        labelled_as_ever(checks, bed, "proxy")


def labelled_as_ever(checks: report.Checks, bed: Bed, name: str) -> None:
    count = bed.postfix.mailbox("alice").count()
    client = bed.smtp()
    client.envelope(FROM, TO)
    client.data(stuffed(message(f"{name}-after", 9_000)))
    client.quit()
    bed.postfix.wait_delivered("alice", count + 1, 10)
    label = next((one.labels()[0] for one in bed.postfix.mailbox("alice").messages()
                  if one.value("X-Test-Id") == f"{name}-after"), None)
    checks.that(label and label.pattern == "official-mta", f"{name}: the next session is labelled: {label and label.fields}")


def on_the_wire(checks: report.Checks, program: Path) -> None:
    services = f"{SERVER4}:{WRAPPED}{WRAPPER}\n"
    with Bed(program, settings={"wire": {"ports": [25, WRAPPED]}}, tag="imp", tls=True, way="wire", services=services) as bed:
        judge(checks, bed, "wire", WRAPPED)
        heard(bed, WRAPPED, HELLO)
        heard(bed, 25, client_hello())
        labelled_as_ever(checks, bed, "wire")


def main() -> int:
    checks = report.Checks()
    program = Path(sys.argv[1])
    through_the_proxy(checks, program)
    on_the_wire(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
