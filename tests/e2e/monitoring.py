#!/usr/bin/python3
"""Counters where they are read: the page of metrics, a real Prometheus, and the alerts of examples/monitoring.

    monitoring.py PROGRAM

A bot sends to a real Postfix in enforce mode until the circuit breaker opens. The page shows it, and Prometheus fires the alert.
The counters survive the filter, and the page survives a reload, an upgrade, and the death of its process.
"""
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.postfix import EXAMPLES
from bed.process import end, wait_until
from bed.testbed import Bed, need
from policy import bot

FILES = EXAMPLES.parent / "monitoring"
PAGE = "http://127.0.0.1:9125/metrics"
BREAKER = {"enabled": True, "window": "8s", "min_messages": 8, "max_share": 0.5, "hold": "5s"}
SETTINGS = {"desk": {"listen": ["127.0.0.1:9125"]}, "weights": {"bot-template": 8.0}, "breaker": BREAKER,
            "policy": {"mode": "enforce", "tempfail": "off", "quarantine": "off", "reject": 4.0}}


def fetch(bed: Bed, url: str, *options) -> str:
    done = bed.link.server.run("curl", "-sS", "-m", "5", *options, url, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def read(bed: Bed) -> dict[str, int]:
    """Samples by name and labels; {}: no process answers."""
    lines = [line.rsplit(" ", 1) for line in fetch(bed, PAGE).splitlines() if not line.startswith("#")]
    return {name.removeprefix("segmilter_"): int(value) for name, value in lines}


class Prometheus:
    """Prometheus in the server's namespace, with the example's files; only the 15 s are changed."""

    def __init__(self, bed: Bed):
        self._bed, root = bed, bed.root / "prometheus"
        root.mkdir()
        shutil.copy(FILES / "alerts.yml", root)
        text, hits = re.subn(r"(?m)^(  (?:scrape|evaluation)_interval): 15s$", r"\1: 1s", (FILES / "prometheus.yml").read_text())
        if hits != 2:
            raise RuntimeError("the example's prometheus.yml has other intervals")
        (root / "prometheus.yml").write_text(text)
        with open(root / "log", "wb") as log:
            self._process = subprocess.Popen(bed.link.server.command(
                "prometheus", f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={root}/data",
                "--web.listen-address=127.0.0.1:9090"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _ask(self, path: str, *options) -> dict:
        text = fetch(self._bed, f"http://127.0.0.1:9090/api/v1/{path}", *options)
        return json.loads(text)["data"] if text.startswith("{") else {}

    def value(self, expression: str) -> str:
        found = self._ask("query", "--data-urlencode", f"query={expression}").get("result", [])
        return found[0]["value"][1] if found else ""

    def firing(self) -> list[str]:
        return [one["labels"]["alertname"] for one in self._ask("alerts").get("alerts", []) if one["state"] == "firing"]

    def stop(self) -> None:
        end(self._process)


def check_files(checks: report.Checks, bed: Bed) -> None:
    def promtool(*words, **options) -> subprocess.CompletedProcess:
        return subprocess.run(["promtool", *words], capture_output=True, text=True, cwd=FILES, **options)
    page = fetch(bed, PAGE)
    done = promtool("check", "metrics", input=page)
    checks.that(page and done.returncode == 0 and not done.stderr, f"promtool finds nothing to say about the page: {done.stderr}")
    for words in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")):
        done = promtool(*words)
        checks.that(done.returncode == 0, f"promtool {' '.join(words)}: {(done.stdout + done.stderr).strip().splitlines()[-1].strip()}")
    used = set(re.findall(r"segmilter_\w+", re.sub(r"(?m)^ *summary:.*$", "", (FILES / "alerts.yml").read_text())))
    absent = sorted(name for name in used if not re.search(rf"(?m)^{name}\b", page))
    checks.that(len(used) >= 9 and not absent, f"all {len(used)} names in alerts.yml are on the page {absent or ''}")
    head = fetch(bed, PAGE, "-I")
    checks.that("text/plain; version=0.0.4" in head, "its type is that of the text format 0.0.4")


def breaker(checks: report.Checks, bed: Bed, prometheus: Prometheus) -> None:
    report.step("breaker")
    sent = 0
    while sent < 40 and "breaker open" not in bed.segmilter.log():
        bot(bed, f"burst-{sent}")
        sent += 1
    bot(bed, "while-open")
    sent += 1
    page = read(bed)
    checks.that(page["breaker_open"] == 1 and page["breaker_trips_total"] == 1, "the breaker opens: the page says so")
    expected = {"messages_total": sent, 'patterns_total{pattern="bot-template"}': sent, 'actions_total{action="reject"}': sent - 2,
                'actions_held_total{by="breaker"}': 2, "proxy_connections_total": sent, "proxy_traces_total": sent}
    wrong = {name: (page[name], value) for name, value in expected.items() if page[name] != value}
    checks.that(not wrong, f"{sent} messages are counted, each where it belongs {wrong or ''}")
    wait_until(lambda: "SegmilterBreakerOpen" in prometheus.firing(), 10, "the alert")
    checks.that(True, "Prometheus fires SegmilterBreakerOpen")
    wait_until(lambda: read(bed)["breaker_open"] == 0, 30, "the breaker to close")
    wait_until(lambda: "SegmilterBreakerOpen" not in prometheus.firing(), 10, "the alert to end")
    checks.that("breaker closed" in bed.segmilter.log(), "it closes: the page says so, and the alert ends")


def lives(checks: report.Checks, bed: Bed, prometheus: Prometheus) -> None:
    report.step("deaths, reload")
    before = read(bed)
    for word in ("filter", "memory", "desk"):
        kill(bed, word)
    wait_until(lambda: read(bed).get('process_serving{process="filter"}') == 1, 10, "the filter to be back")
    wait_until(lambda: read(bed).get("memory_rows_total") == before["messages_total"], 10, "a row for each message")
    page = read(bed)
    checks.that(page["messages_total"] == before["messages_total"] > 0 and page["breaker_trips_total"] == 1,
                "filter, memory and desk are killed: nothing that was counted is lost")
    checks.that(page["memory_dates"] == 1 and page["memory_bytes"] > 8192 and not any(
        count for name, count in page.items() if name.startswith("memory_dropped")), "each message has a row in the store, and none is dropped")
    checks.that(all(page[f'process_starts_total{{process="{word}"}}'] == 2 for word in ("filter", "memory", "desk"))
                and page['process_starts_total{process="proxy"}'] == 1, "each was started twice, the proxy once")
    text = bot(bed, "afterwards")
    checks.that(text.startswith("550") and read(bed)["messages_total"] == page["messages_total"] + 1,
                "the new filter counts on from there")
    good = bed.segmilter.config.read_text()
    bed.segmilter.config.write_text(good + "\n[nonsense]\n")
    bed.segmilter.reload()
    bed.segmilter.config.write_text(good)
    bed.segmilter.reload()
    page = read(bed)
    checks.that([page[f'reloads_total{{result="{word}"}}'] for word in ("refused", "done")] == [1, 1] and prometheus.value("up") == "1" and prometheus.value("segmilter_messages_total"),
                f"a reload that is refused and one that is not are counted; Prometheus has it all, up = {prometheus.value('up')}")


def kill(bed: Bed, word: str) -> None:
    subprocess.run(["kill", "-9", str(bed.segmilter.child(word))], check=True)


def upgrade(checks: report.Checks, bed: Bed) -> None:
    report.step("upgrade")
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            answers.append(bool(fetch(bed, PAGE)))
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    bed.segmilter.upgrade()
    time.sleep(0.5)
    over.set()
    asking.join()
    checks.that(len(answers) > 3 and answers.count(False) <= 1, f"an upgrade: {answers.count(True)} of {len(answers)} questions "
                "answered (one may be cut)")
    checks.that(read(bed)["messages_total"] == 0 and bot(bed, "upgraded").startswith("550") and read(bed)["messages_total"] == 1,
                "the counts begin anew")
    bed.segmilter.kill()
    wait_until(lambda: not fetch(bed, PAGE), 10, "the port to be free")
    checks.that(True, "the supervisor is killed: nobody listens any more, so that a new start finds the port free")
    bed.segmilter.start()
    checks.that(wait_until(lambda: read(bed), 10, "the page")["messages_total"] == 0, "it is started again, and the page is there")


def address_taken(checks: report.Checks, bed: Bed) -> None:
    report.step("somebody else has the address")
    bed.segmilter.stop()
    other = bed.link.server.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", 9125))
    other.listen()
    bed.segmilter.start()
    text = bot(bed, "without")
    line = next((line for line in bed.segmilter.log().splitlines() if "no metrics" in line), "")
    checks.that(text.startswith("550") and "desk.listen: bind 127.0.0.1:9125" in line, f"mail is served, one line says why: {line}")
    other.close()
    bed.segmilter.upgrade()
    checks.that(wait_until(lambda: read(bed), 10, "the page"), "an upgrade is a start, and finds it free")


def on_the_wire(checks: report.Checks, program: Path) -> None:
    report.step("way wire")
    with Bed(program, {"desk": SETTINGS["desk"]}, tag="monw", way="wire") as bed:
        wait_until(lambda: read(bed).get('process_serving{process="wire"}') == 1, 10, "the page")
        for number in range(3):
            bot(bed, f"wire-{number}")
        page = read(bed)
        names = ("wire_connections_total", "wire_traces_total", "messages_total", 'patterns_total{pattern="bot-template"}')
        checks.that([page[name] for name in names] == [3] * 4 and not any(name.startswith("proxy") for name in page),
                    f"the wire observer's counts: {', '.join(f'{name} {page[name]}' for name in names)}")


def main() -> int:
    checks = report.Checks()
    need("prometheus", "promtool")
    with Bed(Path(sys.argv[1]), SETTINGS, tag="mon") as bed:
        wait_until(lambda: read(bed).get('process_serving{process="filter"}') == 1, 10, "the page")
        check_files(checks, bed)
        prometheus = Prometheus(bed)
        try:
            wait_until(lambda: prometheus.value("up") == "1", 30, "Prometheus to scrape")
            checks.that(True, "Prometheus scrapes the page")
            for part in (breaker, lives):
                part(checks, bed, prometheus)
        finally:
            prometheus.stop()
        upgrade(checks, bed)
        address_taken(checks, bed)
        if checks.failed:
            bed.show_logs(40)
    on_the_wire(checks, Path(sys.argv[1]))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
