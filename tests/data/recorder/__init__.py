"""Records how real programs send; tests/data/record uses it.

    client namespace                     router                       server namespace
    a program in its tree ──────── [delay, 20 ms each way] ────────► Postfix, port 25; tcpdump

Files, from the bottom up: delay (a round trip without netem), messages (what is sent), tree (the folder in which a program is
installed), programs (the table of programs: how they are installed and called, and how they write), recording (one message on one
link, as a trace). The link, the namespaces and Postfix are those of the end-to-end tests (tests/e2e/bed). senders/ has the few lines
around each library.
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "e2e"))
