#!/usr/bin/python3
"""Between a threshold and an action: roll-out, the circuit breaker, trust by name, a policy for each listener, fallbacks.

    policy.py PROGRAM

A real Postfix in enforce mode, and a bot that cuts its headers as a template does. The test computes itself which clients are in the
share of a roll-out. Names come from a name server of the bed, so that Postfix confirms them or does not.
"""
import hashlib
import hmac
import re
import sys
import time
from pathlib import Path

from bed import report
from bed.names import NameServer
from bed.process import wait_until
from bed.smtp import Refused, stuffed
from bed.testbed import CLIENT4, DIRECT_PORT, SERVER4, Bed

SCORES = {"weights": {"bot-template": 8.0}}
OFF = {"tempfail": "off", "quarantine": "off"}
CALM = {"enabled": False}
NETWORKS = {"trusted": "192.0.2.20", "named": "192.0.2.21", "liar": "192.0.2.22", "said": "192.0.2.23",
            "nobody": "192.0.2.24"}
CROWD = [f"192.0.2.{number}" for number in range(100, 124)]
ALT = 26  # a second port of the proxy
FORGED = b"X-Protocol-Pattern: mx1.example.org; pattern=official-mta; action=none; v=1\r\n"


def config(policy: dict, **sections) -> dict:
    return {**SCORES, "policy": {"mode": "enforce", "reject": 4.0, **OFF, **policy}, "breaker": CALM,
            "proxy": {"listen": [f"{SERVER4}:25", f"{SERVER4}:{ALT}"]}, **sections}


def reload(bed: Bed, settings: dict) -> None:
    bed.segmilter.reload(settings)
    time.sleep(0.1)  # the counters are logged after the line for which the test waits


def message(tag: str, extra: bytes = b"") -> bytes:
    return (b"Message-ID: <%s@bot.example>\r\nFrom: Bot <bot@bot.example>\r\n%sSubject: You have won\r\nX-Test-Id: %s\r\n\r\n"
            % (tag.encode(), extra, tag.encode()) + b"text\r\n" * 500)


def bot(bed: Bed, tag: str, port: int = 25, source: str = "", name: str = "bot.example", extra: bytes = b"") -> str:
    """One message in a template's writes; the server's answer to it."""
    client = bed.smtp(port, source=source, name=name)
    try:
        client.envelope("bot@bot.example", "alice@example.org")
        content = message(tag, extra)
        cut = content.index(b"You have")
        client.data(stuffed(content), [cut, 8, 40], pause=0.02)
        return "250"
    except Refused as refused:
        return f"{refused.code} {refused.text}"
    finally:
        client.quit()


def delivered(bed: Bed, tag: str):
    return next((one for one in bed.postfix.mailbox("alice").messages() if one.value("X-Test-Id") == tag), None)


def fields(bed: Bed, tag: str) -> dict:
    """The label of a message that should be delivered; {}: it has none."""
    found = wait_until(lambda: delivered(bed, tag), 10, f"{tag} to be delivered")
    labels = found.labels()
    return labels[0].fields if labels else {}


def place(address: str, key: str) -> int:
    mapped = bytes(10) + b"\xff\xff" + bytes(map(int, address.split(".")))
    return int.from_bytes(hmac.new(key.encode(), mapped, hashlib.sha256).digest()[:4], "big") % 100


def rollout(checks: report.Checks, bed: Bed) -> None:
    report.step("rollout")
    reload(bed, config({"reject_percent": 40, "percent_key": "our-mx"}))
    inside = {address for address in CROWD if place(address, "our-mx") < 40}
    refused = {address for address in CROWD if bot(bed, f"roll-{address}", source=address).startswith("550 5.7.1")}
    checks.that(refused == inside and 0 < len(inside) < len(CROWD),
                f"reject_percent = 40: {len(refused)} of {len(CROWD)} clients refused, and just those of the share")
    others = [fields(bed, f"roll-{address}") for address in CROWD if address not in refused]
    checks.that(all(one.get("action") == "none" and one.get("would") == "reject" for one in others),
                f"the other {len(others)} were delivered with action=none; would=reject")
    again = {address for address in CROWD if bot(bed, f"again-{address}", source=address).startswith("550")}
    checks.that(again == refused, "each client met the same answer when it came again")
    reload(bed, config({"reject_percent": 0, "tempfail": 4.0, "percent_key": "our-mx"}))
    text = bot(bed, "milder", source=CROWD[0])
    checks.that(text.startswith("451 4.7.1"), f"outside of the reject's share the next milder action is taken ({text})")


def breaker(checks: report.Checks, bed: Bed) -> None:
    report.step("breaker")
    settings = {"enabled": True, "window": "6s", "min_messages": 8, "max_share": 0.5, "hold": "3s"}
    reload(bed, config({}, breaker=settings))
    answers = []
    while len(answers) < 40 and "breaker open" not in bed.segmilter.log():
        answers.append(bot(bed, f"burst-{len(answers)}"))
    refused = [text for text in answers if text.startswith("550")]
    checks.that(len(refused) == 7 and answers[7] == "250",
                f"a burst: {len(refused)} refused, then the 8th trips the breaker and is accepted ({len(answers)} sent)")
    label = fields(bed, "burst-7")
    checks.that(label.get("action") == "none" and label.get("would") == "reject", f"its header: {label}")
    opened = re.findall(r".*breaker open.*", bed.segmilter.log())
    checks.that(len(opened) == 1 and "8 of 8" in opened[0], f"one line says so: {opened[0] if opened else '-'}")
    checks.that(bot(bed, "while-open") == "250", "while it is open nothing is refused")
    held = re.findall(r"held=breaker", bed.segmilter.log())
    checks.that(len(held) == 2, "the log line of each such message says held=breaker")
    wait_until(lambda: "breaker closed" in bed.segmilter.log(), 20, "the breaker to close")
    text = bot(bed, "after")
    checks.that(text.startswith("550 5.7.1"), f"it closes without any mail, and mail is refused again: {text}")
    reload(bed, config({}))  # which logs the counters
    counters = re.findall(r".* counters .*", bed.segmilter.log())
    checks.that(counters and "breaker_trips=1" in counters[-1] and "held_breaker=2" in counters[-1],
                f"counters: {counters[-1] if counters else '-'}")


def trust(checks: report.Checks, bed: Bed, names: NameServer) -> None:
    report.step("trust")
    exempt = {"networks": [f"{NETWORKS['trusted']}/32"], "ptr_suffixes": [".provider.example"],
              "helo_suffixes": ["cloud.example"]}
    reload(bed, config({}, exempt=exempt))
    bed.postfix.set("smtpd_peername_lookup = yes")
    text = bot(bed, "trusted", source=NETWORKS["trusted"], extra=FORGED)
    checks.that(text == "250" and delivered_labels(bed, "trusted") == 1,
                "own network: not judged, and a header that it brings stays")
    text = bot(bed, "named", source=NETWORKS["named"], extra=FORGED)
    checks.that(text == "250" and delivered_labels(bed, "named") == 0,
                "a name that Postfix confirmed: not judged, a forged header is deleted")
    text = bot(bed, "liar", source=NETWORKS["liar"], name="mx8.provider.example")
    checks.that(text.startswith("550"), f"a name that does not lead back to the address: judged ({text})")
    text = bot(bed, "said", source=NETWORKS["said"], name="out.cloud.example")
    checks.that(text == "250" and delivered_labels(bed, "said") == 0, "EHLO that agrees with the confirmed name: not judged")
    text = bot(bed, "other-ehlo", source=NETWORKS["said"], name="out.other.example")
    checks.that(text.startswith("550"), f"the same client under another name: judged ({text})")
    text = bot(bed, "nobody", source=NETWORKS["nobody"], name="out.cloud.example")
    checks.that(text.startswith("550"), f"EHLO alone: judged ({text})")
    checks.that(("mx8.provider.example", 1) in names.asked, "the false name was looked up: Postfix did not believe it")
    why = sorted(set(re.findall(r"helo=\S+ exempt=(\S+)", bed.segmilter.log())))
    checks.that(why == ["client-name", "helo-name", "own-network"], f"the log says why: {why}")
    bed.postfix.set("smtpd_peername_lookup = no")


def delivered_labels(bed: Bed, tag: str) -> int:
    return len(wait_until(lambda: delivered(bed, tag), 10, f"{tag} to be delivered").labels())


def listener_by_port(checks: report.Checks, bed: Bed) -> None:
    report.step("listener by port")
    reload(bed, config({"mode": "monitor"}, **{"listener.second": {"port": ALT, "mode": "enforce"}}))
    checks.that(bot(bed, "port-25") == "250" and fields(bed, "port-25").get("would") == "reject",
                "the proxy's port 25: monitor, as [policy] says")
    text = bot(bed, "port-26", port=ALT)
    checks.that(text.startswith("550"), f"its port {ALT}, and the same smtpd: enforce, as [listener.second] says ({text})")


def fallbacks(checks: report.Checks, bed: Bed) -> None:
    report.step("fallbacks")
    reload(bed, config({"reject": "off", "on_unobserved": "tempfail"}))
    text = bot(bed, "around", port=DIRECT_PORT)
    checks.that(text.startswith("451 4.7.1"), f"on_unobserved: mail around the proxy is deferred ({text})")
    checks.that(bot(bed, "seen") == "250", "and mail through it is not")
    socket = bed.root / "segmilter/evidence.sock"
    socket.chmod(0)  # if it were removed, it would be created again
    checks.that(bot(bed, "gone") == "250" and fields(bed, "gone").get("reason") == "error",
                "the evidence socket cannot be reached: without on_error the mail is accepted, reason=error")
    reload(bed, config({"reject": "off", "on_error": "tempfail"}))
    text = bot(bed, "gone2")
    checks.that(text.startswith("451 4.7.1"), f"on_error: it is deferred ({text})")
    checks.that(bot(bed, "around2", port=DIRECT_PORT).startswith("451"), "and so is a message about which no question could be asked")
    socket.chmod(0o660)
    checks.that(bot(bed, "back") == "250", "the socket is back: accepted")


def listener_by_name(checks: report.Checks, program: Path) -> None:
    """Two smtpd services of a Postfix that keeps its ports; master.cf gives one a name."""
    services = f"{SERVER4}:{ALT} inet n - n - - smtpd -o milter_macro_daemon_name=strict\n"
    settings = {**SCORES, "wire": {"ports": [25, ALT]}, "policy": {"mode": "monitor", "reject": 20.0, **OFF},
                "listener.strict": {"mode": "enforce", "reject": 4.0}}
    with Bed(program, settings, tag="pol", way="wire", services=services) as bed:
        checks.that(bot(bed, "plain") == "250" and "would" not in fields(bed, "plain"),
                    "the smtpd on port 25: monitor, threshold 20")
        text = bot(bed, "strict", port=ALT)
        checks.that(text.startswith("550"), f"the smtpd with milter_macro_daemon_name=strict: enforce, threshold 4 ({text})")


def main() -> int:
    checks, program = report.Checks(), Path(sys.argv[1])
    with Bed(program, config({}), tag="pol", resolver="127.0.0.1") as bed:
        names = NameServer(bed.link.server, {NETWORKS["named"]: "mx7.provider.example", NETWORKS["liar"]: "mx8.provider.example",
                                             NETWORKS["said"]: "vm1.cloud.example"},
                           {"mx7.provider.example": NETWORKS["named"], "mx8.provider.example": "203.0.113.8",
                            "vm1.cloud.example": NETWORKS["said"]})
        for address in [*NETWORKS.values(), *CROWD]:
            bed.link.client.ip("addr", "add", f"{address}/24", "dev", "eth0")
        text = bot(bed, "enforce", source=CLIENT4)
        checks.that(text.startswith("550 5.7.1"), f"enforce: {text}")
        for part in (rollout, breaker, lambda *both: trust(*both, names), listener_by_port, fallbacks):
            part(checks, bed)
        names.close()
        if checks.failed:
            bed.show_logs(80)
    report.step("listener by name")
    listener_by_name(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
