#!/usr/bin/python3
"""The policy service beside real mail: what Postfix asks, what it is answered, and what it does then.

    policy_service.py PROGRAM

A real Postfix with the files of examples/postfix/policy. A bot teaches the reputation of its network by the messages that it sends; later
clients of this network are deferred at RCPT. Others are refused for how they talk. The service is killed and stopped.
"""
import os
import re
import signal
import sys
import time
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import Client, Refused, stuffed
from bed.testbed import Bed
from policy import delivered, fields, message

OFF = {"tempfail": "off", "quarantine": "off", "reject": "off"}
QUIET = {"enabled": False}
BOTS = [f"192.0.2.{number}" for number in range(100, 112)]
NEXT_BOT = "192.0.2.199"


def config(mode: str, **sections) -> dict:
    return {"policy": {"mode": mode, **OFF}, "breaker": QUIET, **sections}


def policy_lines(bed: Bed, begin: int = 0) -> list[str]:
    return re.findall(r".* policy client=.*", bed.segmilter.log()[begin:])


def send(bed: Bed, tag: str, source: str = "", content: bytes = b"", cuts=None) -> str:
    """One message; the server's last answer."""
    client = bed.smtp(source=source)
    try:
        client.envelope("bot@bot.example", "alice@example.org")
        client.data(stuffed(content or message(tag)), cuts, pause=0.02 if cuts else 0)
        return "250"
    except Refused as refused:
        return f"{refused.code} {refused.text}"
    finally:
        client.quit()


def template(bed: Bed, tag: str, source: str = "") -> str:
    content = message(tag)
    return send(bed, tag, source, content, [content.index(b"You have"), 8, 40])


def impatient(bed: Bed, tag: str, before_greeting: bool, source: str = "") -> str:
    """A bot that speaks before the greeting, or sends MAIL with EHLO."""
    client = Client(bed.connect(source=source), name="")
    hello, mail = b"EHLO bot.example\r\n", b"MAIL FROM:<bot@bot.example>\r\n"
    try:
        if before_greeting:
            client.send(hello)
            client.reply()
        else:
            client.reply()
            client.send(hello + mail)
        client.reply()
        if before_greeting:
            client.send(mail)
        client.reply()
        client.expect("RCPT TO:<alice@example.org>", 250)
        client.data(stuffed(message(tag)))
        return "250"
    except Refused as refused:
        return f"{refused.code} {refused.text}"
    finally:
        client.quit()


def talk(checks: report.Checks, bed: Bed) -> None:
    report.step("how a client talks")
    # Postfix greets within a millisecond, and a client that speaks later is not early. So the greeting takes a second.
    bed.postfix.set("smtpd_delay_reject = no")
    bed.postfix.set("smtpd_client_restrictions = sleep 1")
    begin = len(bed.segmilter.log())
    checks.that(send(bed, "patient") == "250", "a client that waits is delivered")
    for tag, before in (("early", True), ("ahead", False)):
        checks.that(impatient(bed, f"{tag}-monitor", before) == "250", f"{tag}: delivered in monitor mode")
    lines = policy_lines(bed, begin)
    checks.that(len([line for line in lines if "would=REJECT held=monitor" in line]) == 2,
                f"its log says would=REJECT: {lines[-1] if lines else '-'}")
    checks.that(not any("alice" in line or "bot@" in line for line in lines), "no sender and no recipient is in it")
    bed.segmilter.reload(config("enforce"))
    for tag, before in (("early", True), ("ahead", False)):
        text = impatient(bed, f"{tag}-enforce", before)
        checks.that(text.startswith("554 5.7.1") and "Speak when" in text, f"{tag}: refused in enforce mode ({text[:70]})")
    checks.that(send(bed, "patient-2") == "250", "a client that waits is still delivered")
    bed.postfix.set("smtpd_client_restrictions =")
    bed.postfix.set("smtpd_delay_reject = yes")


def pattern(checks: report.Checks, bed: Bed) -> None:
    report.step("the verdict at the end of the message")
    bed.segmilter.reload(config("enforce"))
    checks.that(template(bed, "held") == "250", "a template's message is accepted")
    queued = wait_until(lambda: re.search(r"(\w+): END-OF-MESSAGE.*HOLD|(\w+): hold:.*", bed.postfix.log()), 10, "the hold")
    lines = [line for line in policy_lines(bed) if "state=END-OF-MESSAGE" in line]
    checks.that(bool(queued) and "pattern=bot-template" in lines[-1] and "answer=HOLD" in lines[-1], f"and held: {lines[-1]}")
    checks.that(delivered(bed, "held") is None, "it is not delivered")


def use_rules(bed: Bed, settings: dict, change) -> None:
    """Reloads `settings` with the rules of the example as `change` returns them."""
    bed.segmilter.write(settings)
    text = bed.segmilter.config.read_text()
    begin = text.index("[[policy_service.rule]]")
    behind = text.find("\n[", text.rindex("[[policy_service.rule]]"))
    end = behind if behind >= 0 else len(text)
    bed.segmilter.config.write_text(text[:begin] + change(text[begin:end]) + text[end:])
    bed.segmilter.reload()


def prepend(checks: report.Checks, bed: Bed) -> None:
    report.step("PREPEND does not disturb the label")
    rule = '[[policy_service.rule]]\nstate = ["RCPT"]\nnetwork = ["192.0.2.0/24"]\nanswer = "PREPEND X-Sender-History: poor"\n'
    plain = fields(bed, "patient-2")
    use_rules(bed, config("enforce"), lambda _: rule)
    content = message("patient-3")  # as long as patient-2
    checks.that(send(bed, "patient-3", content=content) == "250", "a message with a field in front is accepted")
    label = fields(bed, "patient-3")
    found = delivered(bed, "patient-3")
    checks.that(found.value("X-Sender-History") == "poor", "the field is there")
    same = all(label.get(key) == plain.get(key) for key in ("pattern", "segments", "score", "writer"))
    checks.that(same, f"its label is that of a message without it: {label.get('pattern')} {label.get('segments')}")
    bed.segmilter.reload(config("enforce"))


def reputation(checks: report.Checks, bed: Bed) -> None:
    """The bed has one network of IPv4, so its bots speak against a site that has hardly any other mail: the term stays small."""
    report.step("a network with a bad past")

    def mildly(rules: str) -> str:
        return rules.replace("reputation = 2.0", "reputation = 0.3").replace("reputation = 1.0", "reputation = 0.3")

    def settings(mode: str) -> dict:
        return config(mode, weights={"bot-template": 8.0}, policy_service={"greylist_after": "10s"})

    use_rules(bed, settings("monitor"), mildly)
    for number, bot in enumerate(BOTS):
        template(bed, f"bot-{number}", bot)
    begin = len(bed.segmilter.log())
    checks.that(send(bed, "next-monitor", NEXT_BOT) == "250", "monitor: the next client of the network is delivered")
    line = next((line for line in policy_lines(bed, begin) if "state=RCPT" in line), "-")
    checks.that("would=DEFER_IF_PERMIT held=monitor reputation=0." in line, f"and its log says: {line[line.find('client='):]}")
    use_rules(bed, settings("enforce"), mildly)
    text = send(bed, "next", NEXT_BOT)
    checks.that(text.startswith("450 4.7.1") and "few minutes" in text, f"enforce: it is deferred at RCPT ({text[:80]})")
    client = bed.smtp(v6=True)
    client.envelope("bot@bot.example", "alice@example.org")
    client.data(stuffed(message("elsewhere")))
    client.quit()
    checks.that(delivered(bed, "elsewhere") is not None or bool(fields(bed, "elsewhere")), "a client of another network is delivered at once")
    text = send(bed, "next-soon", NEXT_BOT)
    checks.that(text.startswith("450"), f"coming again at once does not help ({text[:30]})")
    time.sleep(10.1)
    checks.that(send(bed, "next-later", NEXT_BOT) == "250", "coming again as a queue does is accepted")
    fields(bed, "next-later")
    checks.that(delivered(bed, "next-later").value("X-Sender-History") == "poor", "and marked by the rule below")


def failures(checks: report.Checks, bed: Bed) -> None:
    report.step("the service is gone, or hangs")
    bed.segmilter.reload(config("monitor"))
    socket = bed.root / "server/queue/segmilter/policy.sock"
    socket.unlink()
    wait_until(socket.exists, 10, "the socket to be created again")
    checks.that(send(bed, "renewed") == "250" and "policy_service.socket" in bed.segmilter.log(),
                "a socket that was removed is created again, and the log says so")
    filter_pid = bed.segmilter.child("filter")
    begin = time.monotonic()
    os.kill(filter_pid, signal.SIGKILL)
    checks.that(send(bed, "killed") == "250", f"filter killed: delivered after {time.monotonic() - begin:.2f} s")
    wait_until(lambda: bed.segmilter.child("filter") not in (0, filter_pid), 10, "the filter to be started again")
    wait_until(lambda: send(bed, f"back-{time.monotonic()}") == "250" and "policy service ready" in bed.segmilter.log(), 10,
               "the service to be back")
    filter_pid = bed.segmilter.child("filter")
    os.kill(filter_pid, signal.SIGSTOP)
    begin = time.monotonic()
    text = send(bed, "stopped")
    took = time.monotonic() - begin
    os.kill(filter_pid, signal.SIGCONT)
    checks.that(text == "250" and took < 20, f"filter stopped: delivered after {took:.1f} s (timeouts of main.cf)")
    checks.that("451" not in "".join(re.findall(r"NOQUEUE: reject.*", bed.postfix.log())), "nobody was given a 451")


def upgrade(checks: report.Checks, bed: Bed) -> None:
    report.step("upgrade")
    before = bed.segmilter.child("filter")
    bed.segmilter.upgrade()
    begin = len(bed.segmilter.log())
    checks.that(impatient(bed, "upgraded", False) == "250" and bed.segmilter.child("filter") != before, "the next program is there")
    checks.that(any("would=REJECT" in line for line in policy_lines(bed, begin)), "and answers at the same socket")


def relaying(checks: report.Checks, bed: Bed) -> None:
    client = bed.smtp()
    client.expect("MAIL FROM:<bot@bot.example>", 250)
    code, text = client.command("RCPT TO:<victim@elsewhere.example>")
    client.quit()
    checks.that(code == 554, f"relaying is denied as before ({code} {text[:60]})")


def main() -> int:
    checks, program = report.Checks(), Path(sys.argv[1])
    with Bed(program, config("monitor"), tag="psv", way="policy") as bed:
        for address in [*BOTS, NEXT_BOT]:
            bed.link.client.ip("addr", "add", f"{address}/24", "dev", "eth0")
        relaying(checks, bed)
        for part in (talk, pattern, prepend, failures, upgrade, reputation):
            part(checks, bed)
        if checks.failed:
            bed.show_logs(60)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
