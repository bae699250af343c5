#!/usr/bin/python3
"""Measures what the proxy costs: CPU seconds of its process for 10,000 messages, and wall time.

    bench.py PROGRAM [--quick] [--json FILE]

Four ways to the same server take turns in one run, so that other work of the machine affects all of them: direct, through
HAProxy in TCP mode (send-proxy-v2, one thread), through segmilter (one worker, kernel capture on) with a PROXY header, and
through segmilter from the client's own address (way `transparent`). Postfix's smtp-source makes the load, in another network namespace behind a veth link with offloads on. The server is sink.cc, which accepts mail and
drops it.

A ratio is the median of the ratios of all turns; each of those compares two runs that followed one another. Not the ratio of two
medians, because that keeps what disturbs the machine for minutes. The order of the ways changes from turn to turn.

CPU is the process's run time from schedstat (in nanoseconds; utime+stime only counts ticks). The kernel handles packets in
the process that happens to run on that core. So the proxies are pinned to the first core, load and server to the second;
otherwise the figure would depend on the scheduler's choices.
"""
import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from bed import report  # noqa: E402
from bed.link import SERVER4, Condition, Link  # noqa: E402
from bed.netns import fresh_tag  # noqa: E402
from bed.process import end, wait_until  # noqa: E402
from bed.segmilter import Segmilter  # noqa: E402
from bed.testbed import Missing, check_machine, stop_on_signals  # noqa: E402

PORTS = {"direct": 2501, "haproxy": 2502, "segmilter": 25, "transparent": 26}
TRANSPARENT = {"listen": [f"{SERVER4}:{PORTS['transparent']}"], "upstream": f"127.0.0.1:{PORTS['direct']}", "workers": 1,
               "upstream_protocol": "transparent"}
UPSTREAM = 10025
SESSIONS = 10
PROXY_CORES, LOAD_CORES = {0}, {1}
HAPROXY = f"""
global
    nbthread 1
    maxconn 2000
defaults
    mode tcp
    timeout connect 10s
    timeout client 330s
    timeout server 330s
listen smtp
    bind 0.0.0.0:{PORTS['haproxy']}
    server sink 127.0.0.1:{UPSTREAM} send-proxy-v2
"""


@dataclass(frozen=True)
class Load:
    name: str       # as in the ratios: 5k_new
    length: int     # bytes of message text
    kept: bool      # many messages in one connection, or one connection for each message
    messages: int


def loads(quick: bool) -> list[Load]:
    sizes = {"1k": (1024, 20_000), "5k": (5120, 20_000), "100k": (102_400, 3_000)}
    return [Load(f"{name}_{'kept' if kept else 'new'}", length, kept, count // (5 if quick else 1))
            for name, (length, count) in sizes.items() for kept in (True, False)]


def keep_on(pid: int, cores: set[int]) -> None:
    """Pins all threads of a process; a machine with one core has nothing to choose."""
    if cores <= os.sched_getaffinity(0):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def cpu_seconds(pid: int) -> float:
    """Run time of all threads of a process."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Bench:
    def __init__(self, program: Path, stack: ExitStack):
        self.root = Path(tempfile.mkdtemp(prefix="segmilter-bench-"))
        stack.callback(shutil.rmtree, self.root, ignore_errors=True)
        self.root.chmod(0o755)
        self.link = Link(fresh_tag("bench"))
        stack.callback(self.link.delete)
        self.link.set(Condition(sender_offload=True, router_offload=True, receiver_offload=True))
        for space in (self.link.client, self.link.server):
            # With one connection for each message, ports are used up faster than TIME_WAIT frees them.
            space.sysctl("ipv4/ip_local_port_range", "1024 65535" if space is self.link.client else "12000 65535")
            space.sysctl("ipv4/tcp_tw_reuse", 1)
        self.pids: dict[str, int] = {}
        self._start(stack, "sink", build_sink(self.root), PORTS["direct"], UPSTREAM)
        (self.root / "haproxy.cfg").write_text(HAPROXY)
        self._start(stack, "haproxy", "haproxy", "-db", "-f", self.root / "haproxy.cfg")
        segmilter = Segmilter(self.link.server, program, self.root / "segmilter", self.root / "queue",
                              {"proxy": {"workers": 1}, "capture": {"method": "kernel"}})
        stack.callback(segmilter.stop)
        segmilter.start()
        self.pids["segmilter"] = segmilter.child("proxy")
        other = Segmilter(self.link.server, program, self.root / "transparent", self.root / "transparent-queue",
                          {"proxy": TRANSPARENT, "capture": {"method": "kernel"}})
        routing = self.link.server.run(program, "nft", "--routing", "-c", other.config, capture_output=True, text=True).stdout
        self.link.server.run("/bin/sh", "-ec", routing)
        stack.callback(other.stop)
        other.start()
        self.pids["transparent"] = other.child("proxy")
        for port in PORTS.values():
            wait_until(lambda port=port: self._greets(port), 10, f"port {port}")
        for name, pid in self.pids.items():
            keep_on(pid, LOAD_CORES if name == "sink" else PROXY_CORES)
        keep_on(os.getpid(), LOAD_CORES)  # inherited by smtp-source

    def _start(self, stack: ExitStack, name: str, *argv) -> None:
        process = subprocess.Popen(self.link.server.command(*argv), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(end, process)
        self.pids[name] = process.pid

    def _greets(self, port: int) -> bool:
        try:
            with self.link.client.socket(socket.AF_INET) as connection:
                connection.settimeout(5)
                connection.connect((SERVER4, port))
                return connection.recv(100).startswith(b"220")
        except OSError:
            return False

    def run(self, way: str, load: Load) -> tuple[float, float]:
        """One run; returns CPU and wall seconds, each for 10,000 messages."""
        process = self.pids.get(way)
        before = cpu_seconds(process) if process else 0.0
        began = time.monotonic()
        self.link.client.run("smtp-source", *(["-d"] if load.kept else []), "-s", SESSIONS, "-m", load.messages,
                             "-l", load.length, "-f", "load@sender.example", "-t", "sink@example.org",
                             f"{SERVER4}:{PORTS[way]}")
        wall = time.monotonic() - began
        cpu = cpu_seconds(process) - before if process else 0.0
        return cpu * 10_000 / load.messages, wall * 10_000 / load.messages


def build_sink(root: Path) -> Path:
    program = root / "sink"
    subprocess.run(["g++", "-std=c++20", "-O2", "-o", program, HERE / "sink.cc"], check=True)
    return program


def measure(bench: Bench, load: Load, turns: int) -> dict[str, list]:
    """(CPU, wall) of each turn for each way; the first turn only warms up."""
    samples: dict[str, list] = {way: [] for way in PORTS}
    for turn in range(turns + 1):
        for way in list(PORTS)[::-1 if turn % 2 else 1]:
            sample = bench.run(way, load)
            if turn:
                samples[way].append(sample)
    return samples


def medians(samples: dict[str, list]) -> dict:
    return {way: {"cpu": statistics.median(cpu for cpu, _ in found),
                  "wall": statistics.median(wall for _, wall in found)} for way, found in samples.items()}


def ratio(samples: dict[str, list], other: str, what: int, ours: str = "segmilter") -> float:
    """The ratios of segmilter (its way `ours`) to another way, for each turn; `what`: 0 is CPU, 1 is wall time."""
    turns = zip(samples[ours], samples[other])
    return round(statistics.median(one[what] / theirs[what] for one, theirs in turns), 3)


def ratios(samples: dict[str, dict]) -> dict:
    out = {}
    for name, ways in samples.items():
        out[f"cpu_vs_haproxy_{name}"] = ratio(ways, "haproxy", 0)
        out[f"wall_vs_haproxy_{name}"] = ratio(ways, "haproxy", 1)
        out[f"wall_vs_direct_{name}"] = ratio(ways, "direct", 1)
        out[f"transparent_cpu_vs_haproxy_{name}"] = ratio(ways, "haproxy", 0, "transparent")
        out[f"transparent_cpu_vs_header_{name}"] = ratio(ways, "segmilter", 0, "transparent")
    return out


def show(results: dict, found: dict) -> None:
    print("\nCPU seconds of the proxy's process and wall seconds, for 10,000 messages; medians, of the ratios too\n")
    head = ["load", "direct wall", "haproxy cpu", "haproxy wall", "segmilter cpu", "segmilter wall",
            "transparent cpu", "transparent wall", "cpu vs haproxy", "wall vs direct", "transparent vs haproxy"]
    rows = [[name, *(f"{value:.2f}" for value in (ways["direct"]["wall"], ways["haproxy"]["cpu"],
                                                  ways["haproxy"]["wall"], ways["segmilter"]["cpu"],
                                                  ways["segmilter"]["wall"], ways["transparent"]["cpu"],
                                                  ways["transparent"]["wall"])),
             f"{found[f'cpu_vs_haproxy_{name}']:.2f}", f"{found[f'wall_vs_direct_{name}']:.2f}",
             f"{found[f'transparent_cpu_vs_haproxy_{name}']:.2f}"]
            for name, ways in results.items()]
    report.table(head, rows)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program", type=Path)
    options.add_argument("--quick", action="store_true", help="a fifth of the messages, fewer turns")
    options.add_argument("--json", type=Path, help="write the figures to this file as well")
    chosen = options.parse_args()
    check_machine()
    if not shutil.which("haproxy"):
        raise Missing("not installed: haproxy (run packaging/install-packages bench)")
    stop_on_signals()
    turns = 3 if chosen.quick else 7
    samples = {}
    with ExitStack() as stack:
        bench = Bench(chosen.program.resolve(), stack)
        for load in loads(chosen.quick):
            report.step(f"{load.name}: {load.messages} messages, {turns} turns of {', '.join(PORTS)}")
            samples[load.name] = measure(bench, load, turns)
    found = ratios(samples)
    results = {name: medians(ways) for name, ways in samples.items()}
    show(results, found)
    if chosen.json:
        chosen.json.write_text(json.dumps({"per_messages": 10_000, "turns": turns, "cores": os.cpu_count(),
                                           "results": results, "ratios": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        sys.exit(69)
