"""What a watcher says about a message: a running segmilter, or `segmilter classify` on a capture.

A View has the trace, in parts, and the program's verdict on that trace. For a live segmilter both come from its log (level debug);
the traces are judged again offline, so that the verdicts have the same form and all their digits.
"""
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .segmilter import Segmilter

VERDICT = ("pattern", "writer", "path", "block", "gait", "score", "confidence", "mss", "writes")
# Keys that the log and the verdict share; two of them have fewer digits in the log.
LOGGED = {"pattern": 0, "writer": 0, "path": 0, "gait": 0, "block": 0, "mss": 0, "score": 0.0506, "confidence": 0.00551}
LISTS = ("fields", "folds", "talk", "chunk-begins")


@dataclass(frozen=True)
class View:
    client: str   # address and port
    number: int   # the message's number in its session, as the watcher counted
    queue: str    # Postfix's id; empty offline
    trace: dict   # of the notation's keys, those that are there; lists expanded, times left out
    verdict: dict


def classified(program: Path, path: Path) -> list[dict]:
    """What `segmilter classify` prints of a file."""
    done = subprocess.run([program, "classify", "--format", "jsonl", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode or done.stderr:
        raise RuntimeError(f"segmilter classify {path}: exit {done.returncode}, {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def runs(text: str) -> list[str]:
    """The entries of seg= or rec=, one for each segment, without the time since the previous one."""
    entries = []
    for run in text.split(","):
        match = re.fullmatch(r"((?:\d+<)?\d+(?:\+\d+)?(?:/\d+)?)(?:x(\d+))?([a-z]*)(?:@\d+)?", run)
        entries += [match[1] + match[3]] * int(match[2] or 1)
    return entries


def taken_apart(trace: str) -> dict:
    """Removes round trips, which each watcher measures itself, and `via`, which names the watcher: they are not part of a View."""
    fields = dict(field.split("=", 1) for field in trace.split(" ")[1:])
    for key in ("seg", "rec"):
        if key in fields:
            fields[key] = runs(fields[key])
    for key in LISTS:
        if key in fields:
            fields[key] = fields[key].split(",")
    return {key: value for key, value in fields.items() if key not in ("rtt", "via", "msg")}


def offline(program: Path, capture: Path) -> list[View]:
    return [View(one["client"], one["message"], "", taken_apart(one["trace"]), {key: one[key] for key in VERDICT})
            for one in classified(program, capture)]


def live(segmilter: Segmilter, scratch: Path) -> tuple[list[View], list[str]]:
    """All views of its log, and the places where the log and the verdict on the logged trace differ."""
    said, traces = {}, {}
    for line in segmilter.log().splitlines():
        if match := re.search(r" info: (\w+): message (.*)$", line):
            said[match[1]] = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', match[2]))
        elif match := re.search(r' debug: (\w+): trace .*\btrace="?(segmilter/1[^"]*)', line):
            traces[match[1]] = match[2]
    scratch.write_text("".join(f"{trace}\n" for trace in traces.values()))
    views, odd = [], []
    for (queue, trace), judged in zip(traces.items(), classified(segmilter.program, scratch), strict=True):
        words = said[queue]
        odd += [f"{queue}: {key}={words.get(key)} in the log, {judged[key]} of its trace" for key, rounding in LOGGED.items()
                if not alike(words.get(key, "0"), judged[key], rounding)]
        views.append(View(words["client"], judged["message"], queue, taken_apart(trace), {key: judged[key] for key in VERDICT}))
    return views, odd


def alike(word: str, value, rounding: float) -> bool:
    return abs(float(word) - value) <= rounding if rounding else word == str(value)
