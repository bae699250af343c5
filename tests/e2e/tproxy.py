#!/usr/bin/python3
"""The deployment `tproxy`: Postfix keeps port 25, the firewall sends clients to the proxy, and without a proxy Postfix answers.

    tproxy.py PROGRAM

The commands of the example's drop-in set and remove the rules. Over IPv4 and IPv6: with a proxy, mail is labelled and Postfix sees the
client's own address. Without a proxy, mail is unlabelled and not refused. A session that Postfix accepted meanwhile continues when
the proxy is back. Mail that the machine sends to itself is left alone.
"""
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from bed import report
from bed.link import CLIENT4, CLIENT6
from bed.process import wait_until
from bed.smtp import Client, stuffed
from bed.testbed import SERVER4, Bed

FROM, TO = "sender@sender.example", "alice@example.org"
BODY = b"text of a message\r\n" * 700


def send(bed: Bed, tag: str, v6: bool = False) -> None:
    client = bed.smtp(v6=v6)
    write(client, tag)
    client.quit()


def write(client: Client, tag: str) -> None:
    client.envelope(FROM, TO)
    client.data(stuffed(f"X-Test-Id: {tag}\r\nSubject: {tag}\r\n\r\n".encode() + BODY))


def arrived(bed: Bed, tag: str):
    def found():
        return next((one for one in bed.postfix.mailbox("alice").messages() if one.value("X-Test-Id") == tag), None)
    wait_until(found, 20, f"{tag} to be delivered")
    return found()


def labelled(checks: report.Checks, bed: Bed, when: str) -> None:
    for v6, address in ((False, CLIENT4), (True, f"IPv6:{CLIENT6}")):
        tag = f"{when}-{'v6' if v6 else 'v4'}".replace(" ", "-")
        send(bed, tag, v6)
        message = arrived(bed, tag)
        label = message.labels()[0] if message.labels() else None
        received = message.head().decode()
        checks.that(label and label.pattern == "official-mta" and f"[{address}]" in received,
                    f"{when}, {address}: through the proxy ({label.pattern if label else 'no label'}), "
                    f"and Postfix names {address}")


def unlabelled(checks: report.Checks, bed: Bed, when: str) -> None:
    for v6 in (False, True):
        tag = f"{when}-{'v6' if v6 else 'v4'}".replace(" ", "-")
        send(bed, tag, v6)
        message = arrived(bed, tag)
        said = [f"{label.pattern} {label.fields.get('reason')}" for label in message.labels()]
        # The filter asks the proxy, which has not seen this message or does not run.
        right = said in (["unobserved no-session"], ["unobserved error"]) if bed.segmilter.running() else not said
        checks.that(right, f"{when}, {'IPv6' if v6 else 'IPv4'}: taken by Postfix's own port ({', '.join(said) or 'no label'})")


def local_mail(checks: report.Checks, bed: Bed) -> None:
    connection = bed.link.server.socket(socket.AF_INET)
    connection.connect((SERVER4, 25))
    write(Client(connection), "local")
    checks.that(f"[{SERVER4}]" in arrived(bed, "local").head().decode(), "mail of the machine to its own address is left alone")


def doctor(bed: Bed) -> dict:
    done = bed.link.server.run(bed.program, "doctor", "-c", bed.segmilter.config, "--postfix-config", bed.postfix.conf,
                               "--format", "json", check=False, capture_output=True, text=True)
    return next(one for one in json.loads(done.stdout)["findings"] if one["check"] == "tproxy")


def examined(checks: report.Checks, bed: Bed) -> None:
    """Without the rules the doctor reports it, and its line loads them again."""
    bed.drop_in("ExecStopPost")
    found = doctor(bed)
    checks.that(found["state"] == "FAIL" and "no rule sends port 25" in found["found"], f"doctor: {found['found']}")
    bed.link.server.run("/bin/sh", "-c", found["mend"][0].replace("segmilter nft", f"{bed.program} nft"))
    found = doctor(bed)
    checks.that(found["state"] == "ok", f"doctor, after its line: {found['found']}")
    bed.drop_in("ExecStartPre")


def proxy_fails_again_and_again(checks: report.Checks, bed: Bed) -> None:
    """While the supervisor waits before the next start, clients reach Postfix directly instead of waiting."""
    def fell_through() -> bool:
        listing = bed.link.server.run("ss", "-Hltn", "sport = :10024", capture_output=True, text=True)
        return not listing.stdout.strip()
    for _ in range(6):
        pid = bed.segmilter.child("proxy")
        if not pid:
            break
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: bed.segmilter.child("proxy") != pid, 5, "the proxy to be gone", every=0.01)
        time.sleep(0.05)
    checks.that(fell_through(), "the proxy is killed again and again: its sockets are closed until the next start")
    began = time.monotonic()
    unlabelled(checks, bed, "between two starts")
    checks.that(time.monotonic() - began < 2, f"both were taken within {time.monotonic() - began:.2f} s")
    wait_until(lambda: bed.segmilter.child("proxy"), 40, "the proxy's next start")
    wait_until(lambda: not fell_through(), 10, "its sockets")
    labelled(checks, bed, "started again")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="tprx", way="tproxy") as bed:
        unlabelled(checks, bed, "before the rules")
        bed.drop_in("ExecStartPre")
        bed.drop_in("ExecStartPre")  # loading them twice is harmless
        rules = bed.link.server.run("nft", "list", "table", "inet", "segmilter", capture_output=True, text=True).stdout
        checks.that(rules.count("tproxy ip") == 2, "the rules, set twice, are there once")
        labelled(checks, bed, "with the rules")
        local_mail(checks, bed)
        examined(checks, bed)
        proxy_fails_again_and_again(checks, bed)

        between, open_session = bed.smtp(), bed.smtp()
        open_session.envelope(FROM, TO)
        bed.segmilter.let_go()
        bed.segmilter.process.terminate()
        wait_until(lambda: "draining" in bed.segmilter.log(), 10, "the drain")
        time.sleep(0.3)
        unlabelled(checks, bed, "while it drains")
        open_session.data(stuffed(b"X-Test-Id: open\r\nSubject: open\r\n\r\n" + BODY))
        checks.that(arrived(bed, "open").labels(), "a session in a transaction finishes it, with its label")
        for name, session in (("between two transactions", between), ("behind its transaction", open_session)):
            code, text = session.reply()
            checks.that(code == 421, f"a session {name} is told {code} {text}")
            session.close()
        bed.segmilter.process.wait(20)
        unlabelled(checks, bed, "when it is gone")

        taken_by_postfix = bed.smtp()
        bed.segmilter.start()
        labelled(checks, bed, "back again")
        write(taken_by_postfix, "kept")
        taken_by_postfix.quit()
        checks.that(not arrived(bed, "kept").labels(), "a session that Postfix took meanwhile stays with it")

        bed.drop_in("ExecStopPost")
        rules = bed.link.server.run("nft", "list", "ruleset", capture_output=True, text=True).stdout
        routing = bed.link.server.run("ip", "rule", capture_output=True, text=True).stdout
        checks.that("segmilter" not in rules and "0x736d" not in routing, "the drop-in's last commands leave nothing behind")
        unlabelled(checks, bed, "without the rules")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
