#!/usr/bin/python3
"""Live and offline agree: the proxy, the wire observer, and `classify` on a capture say the same about a message.

    agree.py PROGRAM

All three watch the same packets: the proxy in the path, a second segmilter beside it that only watches, and tcpdump before
both. Postfix asks one filter; a tee asks the other filter too. The senders are those of under_tls.py, in clear and under TLS,
over links with super-packets, loss and small segments, and those of odd_senders.py.

For each message the whole trace (segments with their flags, records, landmarks, dialogue) and the whole verdict (pattern, writer,
path, block, gait, score, confidence, the writes) are compared. Times are not compared. Known differences are in REASONS, with
their cause. Every other difference fails, and so does a reason that no longer occurs.
"""
import re
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bed import report, views
from bed.link import Condition
from bed.process import wait_until
from bed.segmilter import Segmilter
from bed.tee import Tee
from bed.testbed import Bed
from bed.views import View
from odd_senders import OddSenders, refuse_headers
from under_tls import SIZES, Senders, Sent, context, send_all

MILTER = "smtpd_milters = { unix:segmilter/tee.sock, default_action=accept, connect_timeout=2s, command_timeout=15s }"
DEBUG = {"log": {"level": "debug"}}  # the log has each message's trace
LINKS = {"offloads": Condition(sender_offload=True, router_offload=True, receiver_offload=True),
         "offloads on the server": Condition(receiver_offload=True),
         "MSS 536": Condition(mss=536), "no timestamps": Condition(timestamps=False),
         "loss": Condition(loss_permille=20)}

# Facts that are known only from the text or from the milter, and values that depend on them.
OF_TEXT = {"window", "miss", "line1", "header", "body", "dot", "fields", "folds", "declared"}
OF_MAIL = {"8bit", "7bit", "body-first", "dsn", "blank-end"}
SURENESS = {"score", "confidence"}
OF_PATH = {"mss", "ts", "syn"}


@dataclass(frozen=True)
class Pair:
    """One message as two watchers have seen it. `left` is live; None: that watcher has not seen it."""
    sent: Sent | None  # None: it was not delivered
    session: str       # its name, if it is one of odd_senders.py
    watchers: str      # the watchers of left and right, such as "proxy, wire"
    left: View | None
    right: View | None

    def keys(self) -> set[str]:
        """The keys in which they differ. "talk of MAIL": talk differs only in what MAIL and the text say. "order": the segments differ
        only in which of them came late or were retransmitted."""
        if not self.left or not self.right:
            return {"message"}
        found = set()
        for one, other in ((self.left.trace, self.right.trace), (self.left.verdict, self.right.verdict)):
            found |= {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
        if "talk" in found and not self.words() - OF_MAIL:
            found = found - {"talk"} | {"talk of MAIL"}
        if "seg" in found and as_if_in_order(self.left) == as_if_in_order(self.right):
            found = found - {"seg"} | {"order"}
        return found

    def words(self) -> set[str]:
        return set(self.left.trace.get("talk", ())) ^ set(self.right.trace.get("talk", ()))

    def way(self) -> str:
        return f"{self.sent.program}, {self.sent.way}" if self.sent else self.session

    def tls(self) -> bool:
        return "TLS" in self.way()


def as_if_in_order(view: View) -> list[str]:
    return [re.sub("[ro]", "", segment) for segment in view.trace.get("seg", ())]


def unobserved(view: View | None) -> bool:
    return bool(view) and view.trace.get("state") == "unobserved"


def inferred(pair: Pair) -> bool:
    """Under TLS, offline, and both found the same message."""
    return bool(pair.left and pair.right) and pair.right.trace.get("window") == "inferred" and not unobserved(pair.left)


def bdat_under_tls(pair: Pair) -> bool:
    """Live, the message is placed correctly or not at all."""
    right = pair.left is None or unobserved(pair.left) or pair.left.trace.get("transfer") == "bdat"
    return pair.watchers.endswith("offline") and pair.tls() and "BDAT" in pair.way() and right


def not_told_apart(pair: Pair) -> bool:
    """Sessions with several messages by DATA in a row, and under TLS with refused messages or spaces after a command."""
    odd = pair.session == "DATA row" or pair.session in ("refused", "soft") and (pair.tls() or pair.sent is None)
    live = pair.left is None or unobserved(pair.left) and pair.left.trace["reason"] in ("ambiguous", "lost")
    return odd and live and pair.watchers.endswith("offline")


def end_of_a_session(pair: Pair) -> bool:
    """The part of a TLS session that a capture has if the session began before the capture."""
    right = pair.right
    return pair.left is None and not pair.session and unobserved(right) and right.trace["reason"] == "encrypted" and right.number == 1


def quit_unseen(pair: Pair) -> bool:
    return inferred(pair) and pair.words() - OF_MAIL == {"quit-with-dot"} and pair.left.trace["rec"][-1].endswith("+6")


def ring_was_full(pair: Pair) -> bool:
    """A live watcher says so: it was given too little time to read what the kernel saw."""
    return any(side and unobserved(side) and side.trace["reason"] in ("dropped", "overload") for side in (pair.left, pair.right))


@dataclass(frozen=True)
class Reason:
    name: str
    cause: str
    holds: Callable[[Pair], bool]
    keys: set[str] | None = None  # keys that may differ for this reason; None: any
    most: float = 0               # the largest share of messages; the reason may be absent. 0: any share, and it must occur


REASONS = (
    Reason("text read by the milter", "the wire observer reads no text: places and folds are what the milter was shown",
           lambda pair: pair.watchers == "proxy, wire" and not pair.tls() and pair.right.trace.get("window") == "exact"
           and not unobserved(pair.left), {"window", "folds"}),
    Reason("rows not counted", "in clear the proxy's filter is not shown bodies, and cannot distinguish pipelined messages with headers of one "
           "size apart: ambiguous", lambda pair: pair.way().startswith("row, BDAT, clear") and unobserved(pair.left)
           and pair.left.trace["reason"] == "ambiguous"),
    Reason("BDAT under TLS", "a capture has no milter to ask: chunks are not distinguished from commands, or are taken for messages by DATA",
           bdat_under_tls),
    Reason("nobody asked", "the message was refused or cut off: a capture has it, Postfix asks no filter about it",
           lambda pair: pair.left is None and pair.session in ("refused", "reset")),
    Reason("not told apart", "live, a message is unobserved when others, or unusual commands, may lie in its place; offline nobody has to "
           "tell which one is asked for", not_told_apart),
    Reason("path of what is unobserved", "offline the result says what the SYN shows all the same",
           lambda pair: pair.watchers.endswith("offline") and unobserved(pair.left) and unobserved(pair.right), OF_PATH),
    Reason("QUIT in the same write", "under TLS, offline, QUIT after the dot is known by the server's second answer, and both came in one "
           "record", quit_unseen, {"talk", "rec", "writes", "size", "gait"}, most=0.02),
    Reason("words of MAIL", "offline under TLS the parameters of MAIL and an empty last line are not seen, and so contradict no gait",
           lambda pair: inferred(pair) and bool({"talk of MAIL", "gait"} & pair.keys()), {"talk of MAIL", "gait"}),
    Reason("text unread under TLS", "offline a message is found by sizes and turns, and where its header ends is a guess, which lowers the "
           "confidence", inferred, OF_TEXT | SURENESS),
    Reason("rest of a row", "under TLS a message of a row is labelled, ambiguous or lost, depending on how much of the row has come when each "
           "watcher is asked", lambda pair: pair.session in ("row", "DATA row") and pair.tls() and pair.watchers == "proxy, wire"
           and (unobserved(pair.left) or unobserved(pair.right)), most=0.02),
    Reason("round trip", "each watcher measures its own, which shows which writes waited for an acknowledgement: of one trace with "
           "two round trips, one may name a gait", lambda pair: pair.left and pair.right and pair.left.trace == pair.right.trace,
           {"gait"}, most=0.02),
    Reason("end of a session", "a program keeps its session open when it has nothing more to send, and its QUIT is in the next link's "
           "capture: under TLS nothing tells that no message is there", end_of_a_session, most=0.002),
    Reason("order", "two processors carry one connection's packets at once, and each watcher looks in another place: which of them came "
           "late, or again, differs", lambda pair: "order" in pair.keys(), {"order", "gait", *SURENESS}, most=0.02),
    Reason("ring full", "if the machine has no time for the watcher, what the kernel saw is lost, and the message is unobserved",
           ring_was_full, most=0.01),
)


@dataclass
class Findings:
    """The counts, and the differences without a known reason."""
    pairs: Counter = field(default_factory=Counter)   # compared messages, by watchers
    alike: Counter = field(default_factory=Counter)
    messages: Counter = field(default_factory=Counter)            # by reason and watchers
    keys: dict[tuple, Counter] = field(default_factory=dict)      # the keys that differed, likewise
    unlisted: list[list[str]] = field(default_factory=list)
    orders: list[list[str]] = field(default_factory=list)         # segments that came late or were retransmitted for only one of two
    unexplained: Counter = field(default_factory=Counter)         # messages, by watchers

    def add(self, pair: Pair) -> None:
        keys = pair.keys()
        self.pairs[pair.watchers] += 1
        self.alike[pair.watchers] += not keys
        for reason in REASONS:
            explained = keys if reason.keys is None else keys & reason.keys
            if explained and reason.holds(pair):
                self.messages[reason.name, pair.watchers] += 1
                self.keys.setdefault((reason.name, pair.watchers), Counter()).update(explained)
                keys = keys - explained
        self.unexplained[pair.watchers] += bool(keys)
        one = pair.left or pair.right
        self.unlisted += [[pair.watchers, pair.way(), str(pair.sent.size if pair.sent else "-"), f"{one.client} #{one.number}", key,
                           show(pair.left, key), show(pair.right, key)] for key in sorted(keys)]
        if "order" in pair.keys():
            both = zip(pair.left.trace["seg"], pair.right.trace["seg"])
            self.orders.append([pair.watchers, pair.way(), str(pair.sent.size),
                                " ".join(f"{one}:{other}" for one, other in both if one != other)[:100]])

    def print(self) -> None:
        def what(keys: Counter) -> str:
            return ", ".join(sorted(keys)[:5]) + (", …" if len(keys) > 5 else "")
        report.table(["reason", "watchers", "messages", "what differs", "cause"],
                     [[reason.name, watchers, str(count), what(self.keys[name, watchers]), reason.cause]
                      for reason in REASONS for (name, watchers), count in sorted(self.messages.items()) if name == reason.name])
        if self.orders:
            report.table(["watchers", "sent", "bytes", "came late (o) or again (r)"], self.orders[:20])
        if self.unlisted:
            report.table(["watchers", "sent", "bytes", "session", "key", "left", "right"], self.unlisted[:60])

    def check(self, checks: report.Checks) -> None:
        for watchers, count in self.pairs.items():
            alike, not_listed = self.alike[watchers], self.unexplained[watchers]
            checks.that(not not_listed, f"{watchers}: {count} messages, {alike} alike in everything, {count - alike - not_listed} differ "
                        f"for listed reasons, {not_listed} for others")
        for reason in REASONS:
            met = sum(count for (name, _), count in self.messages.items() if name == reason.name)
            if reason.most:
                checks.that(met <= reason.most * self.pairs.total(), f"{reason.name}: {met}, at most {reason.most:.0%} of all")
            else:
                checks.that(met, f"{reason.name}: {met} messages, so the reason is still one")


def show(view: View | None, key: str) -> str:
    if view is None:
        return "-"
    key = key.split()[0]
    value = view.trace.get(key, view.verdict.get(key, "-"))
    return (",".join(map(str, value)) if isinstance(value, list) else str(value))[:60]


def sessions(found: list[View]) -> dict[tuple[str, int, int], View]:
    """The messages by client, by the number of earlier sessions from the same port, and by number. The messages of a session have
    rising numbers, and each watcher has them in the order in which they came."""
    keyed, last = {}, {}
    for view in found:
        before, number = last.get(view.client, (0, 0))
        last[view.client] = (before + (view.number <= number), view.number)
        keyed[view.client, last[view.client][0], view.number] = view
    return keyed


def pairs(proxy: list[View], wire: list[View], offline: list[View], sent: dict[str, Sent], names: dict[str, str]):
    """What the watchers say about one message, for each pair of watchers."""
    left_over, witnesses, bdat = sessions(offline), {view.queue: view for view in wire}, {}
    # The odd sessions ran first, so a port's first use is theirs.
    name_of = {key: names.get(key[0], "") if key[1] == 0 else "" for key in left_over}
    for key, live in sessions(proxy).items():
        one, witness, other = sent[live.queue], witnesses.get(live.queue), left_over.pop(key, None)
        name = names.get(key[0], "") if key[1] == 0 else ""
        yield Pair(one, name, "proxy, wire", live, witness)
        # Messages that the proxy's filter cannot distinguish may be distinguished by the witness.
        if unobserved(live) and witness and not unobserved(witness):
            yield Pair(one, name, "wire, offline", as_in_clear(witness), other)
        else:
            yield Pair(one, name, "proxy, offline", live, other)
        if "TLS" in one.way and "BDAT" in one.program + one.way:
            bdat[key[:2]] = one
    for key, view in left_over.items():
        yield Pair(bdat.get(key[:2]), name_of[key], "only offline", None, view)


def as_in_clear(view: View) -> View:
    """Leaves out what the wire observer knows from the milter, because the capture has no milter."""
    return View(view.client, view.number, view.queue,
                {key: value for key, value in view.trace.items() if key not in ("window", "folds")}, view.verdict)


def send_over_link(senders: Senders, name: str) -> None:
    """Conditions beyond a clean link: super-packets, loss, a small MSS; with real and played programs."""
    for _ in range(2 if name == "loss" else 1):
        for writer in ("whole", "headers apart", "template", "blocks of 2048", "lines"):
            senders.played(writer, SIZES, f"clear, {name}")
            senders.played(writer, SIZES, f"TLS, {name}", context())
    senders.played("whole", SIZES, f"clear, BDAT, {name}", chunk=3_000)
    for size in SIZES:
        senders.curl(size, "clear")


def send_and_capture(bed: Bed, senders: Senders, odd: OddSenders) -> list[View]:
    """Sends everything, and classifies the captures. There is one capture for each link, because tcpdump reads the largest packet size
    of the interface when it starts."""
    found: list[View] = []
    parts = {"odd sessions": odd.send_all, "clean link": lambda: send_all(senders),
             **{name: lambda name=name: send_over_link(senders, name) for name in LINKS}}
    for name, send in parts.items():
        report.step(name)
        bed.link.set(LINKS.get(name, Condition()))
        with bed.capture(name.replace(" ", "-"), ring_mb=128 if name == "offloads" else 32) as finish:
            send()
            bed.postfix.wait_delivered("alice", len(senders.sent), 120)
            found += views.offline(bed.program, finish().path)
    return found


def by_queue(bed: Bed, sent: list[Sent]) -> dict[str, Sent]:
    tags, found = {one.tag: one for one in sent}, {}
    for message in bed.postfix.mailbox("alice").messages():
        queue = re.search(r"with (?:E|UTF8)?SMTPS? id (\w+)", message.head().decode("utf-8", "replace"))
        if queue and message.value("X-Test-Id") in tags:
            found[queue[1]] = tags[message.value("X-Test-Id")]
    return found


@contextmanager
def witness_of(bed: Bed):
    """A second segmilter that only watches, and whose filter is asked about the same messages."""
    sockets = bed.root / "server/queue/segmilter"
    witness = Segmilter(bed.link.server, bed.program, bed.root / "witness", sockets.parent, way="wire",
                        settings={**DEBUG, "filter": {"socket": f"unix:{sockets}/witness.sock"}})
    witness.start()
    wait_until((sockets / "witness.sock").exists, 10, "the witness")
    tee = Tee(sockets / "tee.sock", sockets / "milter.sock", sockets / "witness.sock")
    try:
        yield witness
    finally:
        tee.close()
        witness.stop()


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), DEBUG, tag="agree", tls=True) as bed:
        bed.link.server.sysctl("ipv4/tcp_fastopen", 0x403)  # for every new listener, without an option of its own
        bed.segmilter.stop()
        bed.segmilter.start()
        with witness_of(bed) as witness:
            bed.postfix.space.run("postconf", "-c", bed.postfix.conf, "-e", refuse_headers(bed))
            bed.postfix.set(MILTER)
            senders = Senders(bed)
            odd = OddSenders(senders)
            offline = send_and_capture(bed, senders, odd)
            proxy, strange = views.live(bed.segmilter, bed.root / "proxy.trace")
            wire, strange_too = views.live(witness, bed.root / "wire.trace")
        sent = by_queue(bed, senders.sent)
        checks.that(len(sent) == len(senders.sent) and {view.queue for view in proxy} == {view.queue for view in wire} == set(sent),
                    f"{len(sent)} of {len(senders.sent)} messages delivered, and judged by both live ones")
        strange += strange_too
        checks.that(not strange, f"each logged verdict is that of its logged trace {strange[:5] or ''}")
        findings = Findings()
        for pair in pairs(proxy, wire, offline, sent, odd.names):
            findings.add(pair)
        findings.print()
        findings.check(checks)
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
