"""Decides which message's bytes a label describes.

A label shows the sizes of the segments of the message that it describes. Each message of an attempt is sent with its own size
and its own cuts, so the list of sizes shows which message the evidence came from:

    own      the list is that of this message
    none     no label: pattern=unobserved with a reason, or no header at all (Postfix did not ask the filter)
    WRONG    the list is that of another message of the attempt, or its sum does not fit this message
    part     under TLS: the list is that of some of this message's records; the first ones or the last ones are missing
    mixed    under TLS: the list is that of records of which some contain text of this message and of another one
    unclear  the sum fits this message and another one, but the cuts are those of neither (the network has cut the stream again)

The oracle reads what the filter logs for the queue id; the log and the header are printed from the same verdict. For messages
that are delivered into a maildir it also checks that header and log agree.
"""
from collections import Counter
from dataclasses import dataclass, field

from bed.mail import Label
from speaker import Trail

# Reasons that mean the machine was too slow for a label; nothing was confused.
SLOW = ("overload", "timeout", "busy")
VERDICTS = ("own", "none", "part", "unclear", "mixed", "WRONG")


@dataclass(frozen=True)
class Sent:
    """One message of an attempt. `recut`: something on the way cuts the stream again (HAProxy)."""
    tag: str
    kind: str
    trail: Trail
    recut: bool = False


@dataclass(frozen=True)
class Said:
    """What the filter logged of it."""
    pattern: str
    reason: str
    size: int                          # size of the text; 0: not logged
    exact: bool                        # the filter claims that the size is exact
    segments: tuple[int, ...] | None   # None: not logged, or only some of them
    ordinal: int                       # the number, in its session, of the message whose evidence was used
    raw: str


def judge(own: Sent, said: Said | None, others: list[Sent]) -> tuple[str, str]:
    """One of the words above, and for "none" the reason."""
    if said is None:
        return "none", "no header"
    if said.pattern == "unobserved":
        return "none", said.reason or "no reason"
    return _whose(own, said, others), ""


def _whose(own: Sent, said: Said, others: list[Sent]) -> str:
    if said.segments is None:
        return "unclear"
    shared = any(own.trail.shares_with(other.trail) for other in others)
    if not shared and said.segments == own.trail.segments:
        return "own"
    if not shared and not own.recut:
        alike = [other for other in others if said.segments == other.trail.segments]
        # In a long row TCP may have cut this message again, by chance in the way of another one. The number says which message
        # of the session is meant.
        if any(other.trail.session != own.trail.session for other in alike) or \
                (alike and said.ordinal != _ordinal(own, others)):
            return "WRONG"
        if own.trail.sealed and holds(own.trail.segments, said.segments):
            return "part"
    if not fits(own, said):
        # Evidence that says that a part is missing need not have the right sum.
        return "unclear" if said.reason and sum(said.segments) < own.trail.least else "WRONG"
    if shared:
        return "mixed"
    return "unclear" if any(fits(other, said) for other in others) else "own"


def _ordinal(own: Sent, others: list[Sent]) -> int:
    return 1 + sum(other.trail.session == own.trail.session and other.trail.begin < own.trail.begin for other in others)


def holds(all_of_them: tuple[int, ...], some: tuple[int, ...]) -> bool:
    """True if `some` are neighbours in `all_of_them`, in this order. A single segment proves nothing."""
    count = len(some)
    return count >= 2 and any(all_of_them[at:at + count] == some for at in range(len(all_of_them) - count + 1))


def fits(message: Sent, said: Said) -> bool:
    return message.trail.least <= sum(said.segments) <= message.trail.most and \
        (not said.exact or said.size == message.trail.size)


@dataclass
class Outcome:
    """The outcome of one attack in one way."""
    attempts: int = 0
    failed: Counter = field(default_factory=Counter)    # attempts that could not be made, by their error
    verdicts: Counter = field(default_factory=Counter)
    reasons: Counter = field(default_factory=Counter)   # of "none"
    examples: list[str] = field(default_factory=list)   # of WRONG, mixed, unclear
    delivered: int = 0                                  # messages delivered into a maildir
    exchanged: Counter = field(default_factory=Counter)  # verdicts on labels that were exchanged on purpose
    differ: list[str] = field(default_factory=list)     # the delivered header does not say what the log says

    def add(self, own: Sent, said: Said | None, others: list[Sent]) -> str:
        """Counts the verdict, and returns it."""
        verdict, reason = judge(own, said, others)
        self.verdicts[verdict] += 1
        if verdict == "none":
            self.reasons[reason] += 1
        if verdict not in ("own", "none", "part"):
            self.examples.append(f"{verdict}: {own.tag} ({own.kind}, {own.trail.size} bytes, sent as {own.trail.segments[:12]}): "
                                 f"{said.raw}")
        return verdict

    def exchange(self, said: Said, other: Sent, others: list[Sent]) -> None:
        """Tests the oracle itself: judges the right label of one message as if it were that of another message of the other kind."""
        self.exchanged[judge(other, said, others)[0]] += 1

    @property
    def judged(self) -> int:
        return sum(self.verdicts.values())


def agree(label: Label, said: Said) -> bool:
    fields = label.fields
    return fields.get("pattern") == said.pattern and fields.get("reason", "") == said.reason and \
        (said.pattern == "unobserved" or tuple(label.segments or ()) == (said.segments or ()))
