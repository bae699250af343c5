#!/usr/bin/python3
"""A sender tries to give a message the label of another message: the short form of tests/attacks/run.

    attacks.py PROGRAM

Makes each attack about twenty times, through the proxy and beside the wire observer, in clear and under TLS. The two ways run at
the same time, because most of the time is waiting.
"""
import subprocess
import sys
from pathlib import Path

from bed.testbed import stop_on_signals

RUN = Path(__file__).resolve().parents[1] / "attacks/run"
ATTEMPTS = 20


def main() -> int:
    stop_on_signals()  # the two children end with this process
    started = [subprocess.Popen(["/usr/bin/python3", RUN, f"--attempts={ATTEMPTS}", f"--way={way}", sys.argv[1]],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for way in ("proxy", "wire")]
    try:
        for process in started:
            print(process.communicate()[0], end="", flush=True)
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return max(process.returncode for process in started)


if __name__ == "__main__":
    sys.exit(main())
