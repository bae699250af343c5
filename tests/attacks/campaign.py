"""Runs all attacks and counts their outcomes."""
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import balanced
import doors
import nat
import oracle
import plain
import refused
import retries
import reuse
import rows
from attempt import Attempt
from bed import report
from ground import Ground, Logs

WAYS = ("proxy", "wire")
MOST_UNCLEAR = 0.02     # share of the judged messages; with more, the oracle cannot distinguish them
MOST_BLIND = 0.02       # share of the labels that were exchanged on purpose and not detected
MOST_FAILED = 0.2       # share of the attempts
EXAMPLES = 3            # how many are printed for each row


@dataclass(frozen=True)
class Attack:
    name: str
    make: Callable[[Attempt], None]
    at_a_time: int = 12
    prepared: Callable = lambda ground: nullcontext()
    ways: tuple[str, ...] = WAYS
    least_own: float = 0.0     # least share of right labels, for sessions where nothing can be confused


ATTACKS = (
    Attack("no-attack", plain.session, least_own=0.99),
    Attack("bdat-row-template-first", rows.template_first),
    Attack("bdat-row-mixed", rows.mixed),
    Attack("data-row-ahead", rows.data_ahead),
    Attack("refused-in-front-bdat", refused.by_bdat),
    Attack("refused-in-front-data", refused.by_data),
    Attack("one-port-two-addresses", doors.two_addresses, 20),
    Attack("one-port-two-listeners", doors.two_ports, 20),
    Attack("port-reuse-quit", reuse.quit_and_again, 30, least_own=0.99),
    Attack("port-reuse-reset", reuse.reset_quick),
    Attack("port-reuse-reset-slow", reuse.reset_slow_service, 40),
    Attack("port-reuse-close-slow", reuse.close_slow_service, 40),
    Attack("reset-in-mid-message", reuse.reset_in_mid_message),
    Attack("half-close", reuse.half_close, 20),
    Attack("retry-same-session", retries.same_session, prepared=retries.prepared, least_own=0.99),
    Attack("retry-other-sessions", retries.other_sessions, prepared=retries.prepared, least_own=0.99),
    Attack("balancer-names-one-twice", balanced.named_twice, 20, ways=("proxy",)),
    Attack("balancer-names-one-to-two", balanced.named_to_two, 20, ways=("proxy",)),
    Attack("haproxy-one-port", balanced.two_of_haproxy, 20, prepared=balanced.haproxy, ways=("proxy",)),
    Attack("haproxy-reset", balanced.reset_behind_haproxy, 40, prepared=balanced.haproxy, ways=("proxy",)),
    Attack("nat-two-clients", nat.two_clients, 20, prepared=nat.prepared),
)


def launch(ground: Ground, attack: Attack, tls: bool, attempts: int, row: int) -> oracle.Outcome:
    outcome = oracle.Outcome(attempts=attempts)
    seed = f"{ATTACKS.index(attack):02d}{'t' if tls else 'c'}"
    made: list[Attempt] = []

    def one(number: int) -> Attempt:
        attempt = Attempt(ground, number, tls, seed, row)
        try:
            attack.make(attempt)
        except (OSError, EOFError) as error:
            outcome.failed[f"{type(error).__name__}: {error}"[:100]] += 1
        finally:
            attempt.close()
        return attempt

    logs = Logs(ground.bed)
    with ThreadPoolExecutor(attack.at_a_time) as threads:
        for done in as_completed([threads.submit(one, number) for number in range(attempts)]):
            made.append(done.result())
    logs.wait_for_the_end()
    said = logs.judged()
    for attempt in made:
        judge(attempt.sent, said, outcome)
    compare_with_delivered(ground, said, outcome)
    return outcome


def judge(sent: list[oracle.Sent], said: dict, outcome: oracle.Outcome) -> None:
    """The messages of one attempt."""
    before = None
    for own in sent:
        if own.tag in said:
            others = [other for other in sent if other is not own]
            verdict = outcome.add(own, said[own.tag], others)
            if before and before.kind != own.kind:
                outcome.exchange(said[before.tag], own, others)
            before = own if verdict == "own" else None


def compare_with_delivered(ground: Ground, said: dict, outcome: oracle.Outcome) -> None:
    box = ground.bed.postfix.mailbox("alice")
    for message in box.messages():
        tag, labels = message.value("X-Test-Id"), message.labels()
        told = said.get(tag)
        if (len(labels) != (told is not None)) or (labels and not oracle.agree(labels[0], told)):
            outcome.differ.append(f"{tag}: {[label.fields for label in labels]}, and the log: {told}")
    outcome.delivered = box.count()
    box.clear()


def faults(attack: Attack, outcome: oracle.Outcome) -> list[str]:
    """Why this row of the table fails the run."""
    found = []
    if outcome.verdicts["WRONG"]:
        found.append(f"{outcome.verdicts['WRONG']} labels of other messages' bytes")
    if outcome.verdicts["mixed"]:
        found.append(f"{outcome.verdicts['mixed']} labels of records that hold text of another message too")
    if not outcome.judged or outcome.verdicts["unclear"] > max(2, MOST_UNCLEAR * outcome.judged):
        found.append(f"the oracle is blind: {outcome.judged} judged, {outcome.verdicts['unclear']} unclear")
    if outcome.exchanged["own"] > MOST_BLIND * outcome.exchanged.total():
        found.append(f"the oracle is blind: of labels that were exchanged on purpose it says {dict(outcome.exchanged)}")
    asked = outcome.judged - sum(outcome.reasons[reason] for reason in oracle.SLOW)
    if outcome.verdicts["own"] < attack.least_own * asked:
        found.append(f"{outcome.verdicts['own']} of {outcome.judged} messages have their label")
    if outcome.failed.total() > MOST_FAILED * outcome.attempts:
        found.append(f"{outcome.failed.total()} of {outcome.attempts} attempts could not be made: {outcome.failed.most_common(2)}")
    if outcome.differ:
        found.append(f"{len(outcome.differ)} delivered headers are not what was logged: {outcome.differ[0]}")
    return found


def run(program: Path, attempts: int, only=None, way=None, tls=None) -> int:
    chosen = [attack for attack in ATTACKS if not only or any(attack.name.startswith(name) for name in only)]
    if not chosen:
        print(f"no attack is called {only}: {', '.join(attack.name for attack in ATTACKS)}")
        return 64
    table, failed = [], []
    for place in [place for place in WAYS if way in (None, place)]:
        here = [attack for attack in chosen if place in attack.ways]
        if not here:
            continue
        with Ground(program, place) as ground:
            for attack in here:
                with attack.prepared(ground):
                    for sealed in [sealed for sealed in (False, True) if tls in (None, sealed)]:
                        row, why = told(ground, attack, sealed, attempts, len(table))
                        table.append(row)
                        failed += why
    report.table(["attack", "way", "attempts", "s", "messages", *oracle.VERDICTS, "none by reason"], table)
    for why in failed:
        print(report.bad("failed: ") + why)
    print(f"{len(table)} rows, {len(failed)} faults")
    return 1 if failed else 0


def told(ground: Ground, attack: Attack, tls: bool, attempts: int, number: int) -> tuple[list[str], list[str]]:
    """The row of the table, and why it fails, if it does."""
    began = time.monotonic()
    outcome = launch(ground, attack, tls, attempts, number)
    took = time.monotonic() - began
    way = f"{ground.way}, {'TLS' if tls else 'clear'}"
    row = [attack.name, way, str(attempts), f"{took:.0f}", str(outcome.judged),
           *(str(outcome.verdicts[verdict]) for verdict in oracle.VERDICTS),
           ", ".join(f"{count} {reason}" for reason, count in outcome.reasons.most_common())]
    report.step("  ".join(row))
    for verdict in ("WRONG", "mixed", "unclear"):
        for example in [one for one in outcome.examples if one.startswith(verdict)][:EXAMPLES]:
            print(f"    {example}")
    if outcome.failed:
        print(f"    not made: {outcome.failed.most_common(3)}")
    return row, [f"{attack.name}, {way}: {why}" for why in faults(attack, outcome)]
