"""Whose bytes is a label of?

A label shows the sizes of the segments of the message that it describes. Each message of an attempt was sent with a size and
with cuts of its own, so the list shows which message the evidence came from:

    own      the list is that of this very message
    none     no label: pattern=unobserved with a reason, or no header at all (Postfix did without the filter)
    WRONG    the list is that of another message of the attempt, or does not even add up to this one
    part     under TLS: it is that of some of this message's records, of which the first ones or the last ones are missing
    mixed    under TLS: it is that of records of which some hold text of this message and of another one
    unclear  it adds up to this message and to another one, and is cut like neither (the network has cut it anew)

What is asked is what the filter logs for the queue id, which is printed from the same judgement as the header; that
the two agree is checked where the message was delivered into a maildir.
"""
from collections import Counter
from dataclasses import dataclass, field

from bed.mail import Label
from speaker import Trail

# The machine was too slow for a label; nothing was mistaken.
SLOW = ("overload", "timeout", "busy")
VERDICTS = ("own", "none", "part", "unclear", "mixed", "WRONG")


@dataclass(frozen=True)
class Sent:
    """One message of an attempt. `recut`: something on the way cuts the stream anew (HAProxy)."""
    tag: str
    kind: str
    trail: Trail
    recut: bool = False


@dataclass(frozen=True)
class Said:
    """What the filter logged of it."""
    pattern: str
    reason: str
    size: int                          # of the text; 0: not shown
    exact: bool                        # whether that is claimed to be right to the byte
    segments: tuple[int, ...] | None   # None: not shown, or not all of them
    ordinal: int                       # of the message whose evidence it is, in its session
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
        # In a long row TCP may have cut this one anew, and by chance as another one was cut. Which message of a session is
        # meant tells its number.
        if any(other.trail.session != own.trail.session for other in alike) or \
                (alike and said.ordinal != _ordinal(own, others)):
            return "WRONG"
        if own.trail.sealed and holds(own.trail.segments, said.segments):
            return "part"
    if not fits(own, said):
        # Evidence that says that it lacks something does not add up.
        return "unclear" if said.reason and sum(said.segments) < own.trail.least else "WRONG"
    if shared:
        return "mixed"
    return "unclear" if any(fits(other, said) for other in others) else "own"


def _ordinal(own: Sent, others: list[Sent]) -> int:
    return 1 + sum(other.trail.session == own.trail.session and other.trail.begin < own.trail.begin for other in others)


def holds(all_of_them: tuple[int, ...], some: tuple[int, ...]) -> bool:
    """Neighbours in the same order; one alone proves nothing."""
    count = len(some)
    return count >= 2 and any(all_of_them[at:at + count] == some for at in range(len(all_of_them) - count + 1))


def fits(message: Sent, said: Said) -> bool:
    return message.trail.least <= sum(said.segments) <= message.trail.most and \
        (not said.exact or said.size == message.trail.size)


@dataclass
class Outcome:
    """Of one attack, one way."""
    attempts: int = 0
    failed: Counter = field(default_factory=Counter)    # attempts that could not be made, by their error
    verdicts: Counter = field(default_factory=Counter)
    reasons: Counter = field(default_factory=Counter)   # of "none"
    examples: list[str] = field(default_factory=list)   # of WRONG, mixed, unclear
    delivered: int = 0                                  # into a maildir
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
        """The oracle's own test: the right label of one message, as if it had been said of another, of the other kind."""
        self.exchanged[judge(other, said, others)[0]] += 1

    @property
    def judged(self) -> int:
        return sum(self.verdicts.values())


def agree(label: Label, said: Said) -> bool:
    fields = label.fields
    return fields.get("pattern") == said.pattern and fields.get("reason", "") == said.reason and \
        (said.pattern == "unobserved" or tuple(label.segments or ()) == (said.segments or ()))
