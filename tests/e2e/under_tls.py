#!/usr/bin/python3
"""The same program, message and link, in clear and under STARTTLS: the label is the same, and the message is placed to the byte.

    under_tls.py PROGRAM

Real mail servers (Postfix, Exim by DATA and by BDAT, Sendmail, OpenSMTPD), programs (swaks, curl, msmtp) and libraries
(Python's smtplib, Go's net/smtp, nodemailer). Bots are not available as packages, so their way of writing is played here over
Python's ssl. TLS 1.3 and 1.2, RSA and ECDSA keys, resumed sessions, several messages in a session, QUIT after the dot, BDAT. Every
difference is printed. Labels that claim to be exact are compared with what Postfix delivered.

swaks is not compared: through Net::SSLeay it writes the whole message at once, and in clear 8192 bytes at a time.
"""
import functools
import os
import re
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bed import mta, report
from bed.mail import HEADER, Label
from bed.smtp import Client, stuffed
from bed.testbed import SERVER4, Bed, need

FROM, TO = "sender@sender.example", "alice@example.org"
SENDERS = Path(__file__).resolve().parent / "senders"  # small programs of the tests around a library
SIZES = (900, 2_500, 5_000, 9_000, 13_000, 18_000, 27_000, 40_000, 70_000)
LEAST_SAME = 0.97
PLAYED = ("whole", "headers apart", "template", "blocks of 2048", "lines")


def message(tag: str, size: int) -> bytes:
    """A header with folds, a body with lines that begin with a dot. Without Received: servers prepend theirs."""
    head = (f"From: Sender <{FROM}>\r\nTo: Alice <{TO}>,\r\n\tAlice of the other house <alice@example.net>\r\n"
            f"Subject: under tls {tag}\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{tag}@sender.example>\r\nX-Test-Id: {tag}\r\n\r\n").encode()
    lines = [f"{number:6d} It is not what you say, it is the way that you say it.\r\n".encode() if number % 40 else b".dot\r\n"
             for number in range(1, size // 60 + 2)]
    return (head + b"".join(lines))[:size - 2] + b"\r\n"


def context(version: ssl.TLSVersion | None = None, key: str = "") -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if version:
        made.maximum_version = version
    if key:  # in TLS 1.2 the cipher suite decides which certificate is used
        made.set_ciphers({"rsa": "ECDHE-RSA-AES256-GCM-SHA384", "ecdsa": "ECDHE-ECDSA-CHACHA20-POLY1305",
                          "cbc": "ECDHE-RSA-AES128-SHA"}[key] + ":@SECLEVEL=0")
    return made


def cuts(content: bytes, writer: str) -> list[int]:
    """Sizes of the writes of a played program."""
    head = content.index(b"\r\n\r\n") + 4
    subject = content.index(b"Subject: ") + 9
    value = content.index(b"\r\n", subject)
    ends = {"whole": [], "headers apart": [head], "template": [subject, value, head],
            "blocks of 2048": list(range(2048, len(content), 2048)),
            "lines": [match.end() for match in re.finditer(rb"\r\n", content)][:-1]}[writer]
    return [end - begin for begin, end in zip([0] + ends, ends + [len(content)])]


@dataclass(frozen=True)
class Sent:
    program: str
    size: int
    way: str   # "clear", or the variant of TLS
    tag: str


class Senders:
    def __init__(self, bed: Bed):
        need("go", "node", "m4")
        self.bed, self.sent = bed, []
        self.relay = bed.sender_postfix()
        house = bed.house()
        self._exim, self._exim_bdat = mta.Exim(house, chunking=False), mta.Exim(house, chunking=True)
        self._sendmail, self._opensmtpd = mta.Sendmail(house), bed.opensmtpd(house)
        self._netsmtp = bed.root / "netsmtp"
        subprocess.run(["go", "build", "-o", self._netsmtp, SENDERS / "netsmtp.go"], check=True,
                       env={**os.environ, "GOCACHE": str(bed.root / "go"), "GO111MODULE": "off"})

    def note(self, program: str, size: int, way: str) -> tuple[str, Path]:
        tag = f"t{len(self.sent)}"
        self.sent.append(Sent(program, size, way, tag))
        path = self.bed.root / f"{tag}.eml"
        path.write_bytes(message(tag, size))
        return tag, path

    def run(self, *argv, stdin: Path | None = None) -> None:
        with open(stdin or "/dev/null", "rb") as source:
            done = self.bed.link.client.run(*argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            text=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} failed: {done.stdout.strip()[-400:]}")

    def curl(self, size: int, way: str) -> None:
        _, path = self.note("curl", size, way)
        tls = {"clear": [], "TLS 1.2": ["--ssl-reqd", "--tls-max", "1.2"]}.get(way, ["--ssl-reqd"])
        self.run("curl", "-sS", "-k", *tls, "--url", f"smtp://{SERVER4}/client.example", "--mail-from", FROM,
                 "--mail-rcpt", TO, "--upload-file", path)

    def msmtp(self, size: int, way: str) -> None:
        _, path = self.note("msmtp", size, way)
        tls = "off" if way == "clear" else "on"
        self.run("msmtp", f"--host={SERVER4}", "--port=25", f"--from={FROM}", "--domain=client.example", f"--tls={tls}",
                 "--tls-certcheck=off", "--auth=off", "--file=/dev/null", TO, stdin=path)

    def swaks(self, size: int, way: str) -> None:
        _, path = self.note("swaks", size, way)
        tls = [] if way == "clear" else ["--tls"]
        self.run("swaks", *tls, "--server", SERVER4, "--helo", "client.example", "--from", FROM, "--to", TO,
                 "--data", f"@{path}")

    def smtplib(self, size: int, way: str) -> None:
        _, path = self.note("smtplib", size, way)
        start = "" if way == "clear" else "s.starttls(context=ssl._create_unverified_context());"
        self.run("/usr/bin/python3", "-c", f"import smtplib, ssl, sys; s = smtplib.SMTP('{SERVER4}', 25, 'client.example');"
                 f"{start} s.sendmail('{FROM}', ['{TO}'], open(sys.argv[1], 'rb').read()); s.quit()", path)

    def postfix(self, size: int, way: str) -> None:
        """Sends with Postfix's own smtp client; main.cf of the relay decides whether it uses TLS."""
        _, path = self.note("Postfix", size, way)
        self._hand_over(2525, path)

    def opensmtpd(self, size: int, way: str) -> None:
        _, path = self.note("OpenSMTPD", size, way)
        self._hand_over(self._opensmtpd.ports[way], path)

    def _hand_over(self, port: int, path: Path) -> None:
        """Sends to a server in the client's namespace, which relays the message."""
        self.run("/usr/bin/python3", "-c", f"import smtplib, sys; s = smtplib.SMTP('127.0.0.1', {port}, 'client.example');"
                 f"s.sendmail('{FROM}', ['{TO}'], open(sys.argv[1], 'rb').read()); s.quit()", path)

    def exim(self, size: int, way: str) -> None:
        _, path = self.note("Exim", size, way)
        self._exim.send(way, FROM, TO, path)

    def exim_bdat(self, size: int, way: str) -> None:
        _, path = self.note("Exim, BDAT", size, way)
        self._exim_bdat.send(way, FROM, TO, path)

    def sendmail(self, size: int, way: str) -> None:
        _, path = self.note("Sendmail", size, way)
        self._sendmail.send(way, FROM, TO, path)

    def netsmtp(self, size: int, way: str) -> None:
        _, path = self.note("Go", size, way)
        self.run(self._netsmtp, way, f"{SERVER4}:25", FROM, TO, path)

    def nodemailer(self, made: str, sizes, way: str) -> None:
        """`made`: the message is "built" by nodemailer, or handed to it "raw". One process, since node starts slowly."""
        paths = [self.note(f"nodemailer, {made}", size, way)[1] for size in sizes]
        self.run("node", SENDERS / "nodemailer.js", made, way, SERVER4, FROM, TO, *paths)

    def played(self, writer: str, sizes, way: str, made: ssl.SSLContext | None = None,
               session: ssl.SSLSession | None = None, chunk: int = 0) -> ssl.SSLSession | None:
        """One session, a message of each size; `chunk`: by BDAT, and a name of its own."""
        program = f"{writer}, BDAT {chunk}" if chunk else writer
        client = Client(self.bed.connect(), name="client.example")
        if made:
            client.expect("STARTTLS", 220)
            client._socket = made.wrap_socket(client._socket, session=session)
            client.command("EHLO client.example")
        for size in sizes:
            tag, path = self.note(program, size, way)
            content = path.read_bytes()
            client.envelope(FROM, TO)
            if chunk:
                client.bdat(content, chunk, "apart")
            else:
                wire = stuffed(content)
                client.data(wire, cuts(wire, writer))
        fresh = client._socket.session if made else None
        client.quit()
        return fresh

    def pipelined(self, size: int, way: str, made: ssl.SSLContext | None = None) -> None:
        """Sends the commands at once, and QUIT in the write of the final dot."""
        client = Client(self.bed.connect(), name="client.example")
        connection = client._socket
        if made:
            client.expect("STARTTLS", 220)
            connection = made.wrap_socket(connection, server_hostname="mx1.example.org")
        tag, path = self.note("whole, QUIT with the dot", size, way)
        talk = connection.makefile("rwb", buffering=0)

        def say(text: bytes, replies: int) -> None:
            connection.sendall(text)
            for _ in range(replies):
                while (line := talk.readline())[3:4] == b"-":
                    pass
        say(b"EHLO client.example\r\n", 1)
        say(f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode(), 3)
        say(stuffed(path.read_bytes()) + b"QUIT\r\n", 2)
        connection.close()


def send_all(senders: Senders) -> None:
    real = (senders.postfix, senders.opensmtpd, senders.msmtp, senders.smtplib, senders.swaks)
    versioned = (senders.curl, senders.exim, senders.exim_bdat, senders.sendmail, senders.netsmtp)  # also support TLS 1.2
    for way in ("clear", "TLS"):
        if way == "TLS":
            senders.relay.set("smtp_tls_security_level = encrypt")
        report.step(f"in {way}: real programs, {len(SIZES)} sizes")
        for size in SIZES:
            for program in (*real, *versioned):
                program(size, way)
        for made in ("built", "raw"):
            senders.nodemailer(made, SIZES, way)
        report.step(f"in {way}: played writers, {len(SIZES)} messages a session")
        for writer in PLAYED:
            senders.played(writer, SIZES, way, None if way == "clear" else context())
            senders.played(writer, SIZES, way, None if way == "clear" else context())
    report.step("TLS 1.2, keys, ciphers, resumed sessions, QUIT with the dot, BDAT")
    twelve = ssl.TLSVersion.TLSv1_2
    for size in SIZES:
        for program in versioned:
            program(size, "TLS 1.2")
        senders.pipelined(size, "clear")
        senders.pipelined(size, "TLS", context())
    for made in ("built", "raw"):
        senders.nodemailer(made, SIZES, "TLS 1.2")
    for writer in PLAYED:
        senders.played(writer, SIZES, "TLS 1.2 RSA", context(twelve, "rsa"))
        senders.played(writer, SIZES, "TLS 1.2 ECDSA ChaCha20", context(twelve, "ecdsa"))
        for version in (None, twelve):
            made = context(version)
            session = senders.played(writer, SIZES[:3], "TLS, first", made)
            senders.played(writer, SIZES[:3], "TLS, resumed", made, session)
        senders.played(writer, SIZES, "TLS 1.2 CBC", context(twelve, "cbc"))
    for chunk in (100_000, 4_000):
        senders.played("whole", SIZES, "clear", chunk=chunk)
        senders.played("whole", SIZES, "TLS", context(), chunk=chunk)


class Judge:
    def __init__(self, bed: Bed, sent: list[Sent]):
        self.delivered = delivered = {message.value("X-Test-Id"): message for message in bed.postfix.mailbox("alice").messages()}
        self.label, self.wire, self.logged, self.protocol = {}, {}, {}, {}
        for one in sent:
            found = delivered.get(one.tag)
            labels = found.labels() if found else []
            self.label[one.tag] = labels[0] if len(labels) == 1 else None
        for line in bed.segmilter.log().splitlines():
            match = re.search(r": message .* (?:window=(\w+) )?(?:miss=(\d+) )?size=(\d+)", line)
            queue = re.search(r": (\w+): message ", line)
            if match and queue:
                self.logged[queue[1]] = (match[1], match[2], int(match[3]))
        for one in sent:
            if found := delivered.get(one.tag):
                received = re.search(r"with ((?:E|UTF8)?SMTPS?) id (\w+)", found.head().decode("utf-8", "replace"))
                self.protocol[one.tag] = received[1] if received else ""
                self.wire[one.tag] = self.logged.get(received[2]) if received else None

    def size_on_the_wire(self, one: Sent) -> int:
        """Compares with the delivered message below segmilter's header: that is what the client sent."""
        text = self.delivered[one.tag].data
        text = text[text.index(HEADER.encode()):]
        lines = text[re.search(rb"\n(?![ \t])", text).end():].splitlines()
        dots = 0 if "BDAT" in one.program else sum(line.startswith(b".") for line in lines) + len(b".\r\n")
        return sum(len(line) + 2 for line in lines) + dots


def compare(checks: report.Checks, judge: Judge, sent: list[Sent]) -> None:
    """Each message under TLS with its twin in clear."""
    clear = {(one.program, one.size): judge.label[one.tag] for one in sent if one.way == "clear"}
    pairs = [(one, clear.get((one.program, one.size)), judge.label[one.tag]) for one in sent
             if one.way.startswith("TLS") and one.program != "swaks"]
    # In clear one segment shows nothing, but under TLS one record does.
    silent = [one for one, twin, _ in pairs if twin and twin.pattern == "indistinct"]
    report.step(f"not compared: swaks, and {len(silent)} messages that are indistinct in clear "
                f"({', '.join(sorted({f'{one.program} {one.size}' for one in silent}))})")
    pairs = [(one, twin, label) for one, twin, label in pairs if twin and label]
    agree(checks, ("pattern", "writer"), [pair for pair in pairs if pair[0] not in silent])
    # Two segments show no gait in clear, but two records do.
    named = [pair for pair in pairs if gait(pair[1]) != "unknown"]
    # A played writer has Python's ClientHello, and its commands under TLS cannot be read. So it may lose its name, but must not get
    # another one.
    kept = [pair for pair in named if pair[0].program not in PLAYED or gait(pair[2]) != "unknown"]
    agree(checks, ("gait",), kept, functools.partial(same_program, programs_of_gaits()), least=150)
    report.step(f"without a gait under TLS: {len(named) - len(kept)} messages of played writers")
    names: dict[str, set[str]] = {}
    for one, twin, _ in named:
        names.setdefault(one.program, set()).add(gait(twin))
    only = [(one, twin, label) for one, twin, label in pairs if gait(twin) == "unknown" != gait(label)]
    strange = [one for one, _, label in only if gait(label) not in names.get(one.program, ())]
    checks.that(not strange, f"{len(only)} of {len(pairs) - len(named)} without a gait in clear have one under TLS, the one "
                "their program has at other sizes" + "".join(f"; not {one.program} {one.size} {one.way}" for one in strange))


def gait(label: Label) -> str:
    return label.fields.get("gait", "unknown")


def programs_of_gaits() -> dict[str, set[str]]:
    """The programs for which each entry of the book stands."""
    found: dict[str, set[str]] = {}
    for file in (Path(__file__).resolve().parents[2] / "classifier/gaits").glob("*.gait"):
        for line in file.read_text().splitlines():
            word, _, rest = line.strip().partition(" ")
            if word == "gait":
                name = rest
            elif word == "programs":
                found.setdefault(name, set()).update(rest.split())
    return found


def same_program(gaits: dict[str, set[str]], one: str, other: str) -> bool:
    """Under TLS more can be seen: a program that shares a name in clear may have its own name."""
    return one == other or bool(gaits.get(one, set()) & gaits.get(other, set()))


def agree(checks: report.Checks, keys: tuple[str, ...], pairs: list[tuple[Sent, Label, Label]], alike=str.__eq__,
          least: int = 300) -> None:
    def said(label: Label) -> str:
        return " ".join(label.fields.get(key, "-") for key in keys)
    differ = [(one, said(twin), said(label), label.fields.get("window", "-")) for one, twin, label in pairs
              if not alike(said(twin), said(label))]
    show_differences(differ)
    same = len(pairs) - len(differ)
    checks.that(len(pairs) >= least and same >= LEAST_SAME * len(pairs), f"{' and '.join(keys)} of {len(pairs)} messages "
                f"under TLS: {same} as in clear ({same / max(1, len(pairs)):.3f})")


def show_differences(differ: list[tuple[Sent, str, str, str]]) -> None:
    """Joins rows that differ only in their size into one line."""
    sizes: dict[tuple[str, ...], list[int]] = {}
    for one, twin, label, window in differ:
        sizes.setdefault((one.program, one.way, twin, label, window), []).append(one.size)
    if sizes:
        report.table(["program", "way", "in clear", "under TLS", "window", "bytes"],
                     [[*key, ", ".join(map(str, sorted(of)))] for key, of in sorted(sizes.items())])


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="tls", tls=True) as bed:
        senders = Senders(bed)
        send_all(senders)
        sent = senders.sent
        bed.postfix.wait_delivered("alice", len(sent), 90)
        judge = Judge(bed, sent)
        checks.that(all(judge.label.values()), f"{len(sent)} messages delivered with one header each")

        meant = [judge.protocol.get(one.tag, "").endswith("S") == one.way.startswith("TLS") for one in sent]
        checks.that(all(meant), "each in clear or under TLS, as it was meant")

        under = [one for one in sent if one.way.startswith("TLS") and judge.label[one.tag]]
        compare(checks, judge, sent)

        exact = [one for one in under if judge.label[one.tag].fields.get("window") == "exact"]
        wrong = [one for one in exact if not judge.wire[one.tag] or judge.wire[one.tag][2] != judge.size_on_the_wire(one)]
        ways = sorted({one.way for one in under})
        report.table(["way", "messages", "exact", "near", "unobserved"],
                     [[way, str(sum(one.way == way for one in under)), *(
                         str(sum(one.way == way and judge.label[one.tag].fields.get("window", "unobserved") == kind for one in under))
                         for kind in ("exact", "near", "unobserved"))] for way in ways])
        checks.that(not wrong, f"window of {len(exact)} messages exact, each as long as it was sent"
                    + "".join(f"; {one} {judge.wire[one.tag]}" for one in wrong[:5]))
        blind = [one for one in under if "CBC" not in one.way and one not in exact]
        checks.that(not blind, f"all but CBC are exact ({len(blind)} are not"
                    + "".join(f"; {one.program} {one.size} {one.way}" for one in blind[:20]) + ")")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
