"""The table of tests/coverage: lines run, by folder and file, and the reason for each file of the data path below 90 %.

    coverage.py SUMMARY.json      as gcovr --json-summary writes it
"""
import json
import sys
from collections import defaultdict

WANTED = 90.0
# The folders through which a message's bytes, its evidence and its verdict pass. The commands, the doctor, the desk and the
# supervisor are not among them.
DATA_PATH = ("classifier/", "milter/capture/", "milter/evidence/", "milter/filter/", "milter/log/", "milter/net/",
             "milter/policy/", "milter/proxy/", "milter/recorded/", "milter/seal/", "milter/tcp/", "milter/wire/", "text/")
# Files of the data path that may be below 90 %, each with the reason. No other file may.
REASONS = {
    "classifier/message_sizes.h": "the members of a structure, which gcov counts as lines that no test ran",
    "classifier/smtp_tracker.h": "a function that does nothing, for a listener to which skipped text means nothing",
    "classifier/tls_log.h": "functions that do nothing, for a session that loses no packets",
    "classifier/tls_message.h": "one of two functions of a line, for captures under TLS without an answer",
    "classifier/tls_session.h": "two functions that do nothing where a listener wants nothing",
    "milter/evidence/server.cc": "lines for a lack of descriptors or memory: e2e_overload runs them, but it is not part of every run",
    "milter/filter/record.h": "the destructor of an interface, which is never deleted by it",
    "milter/net/address.h": "the members of a structure, which gcov counts as lines that no test ran",
    "milter/wire/flows.cc": "no memory for a connection on the wire",
}


def share(covered: int, total: int) -> float:
    return 100.0 * covered / total if total else 100.0


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        files = {one["filename"]: (one["line_covered"], one["line_total"]) for one in json.load(file)["files"]}
    folders, path = defaultdict(list), [0, 0]
    for name, lines in files.items():
        folders[name.rsplit("/", 1)[0]].append((name, *lines))
        if name.startswith(DATA_PATH):
            path = [path[0] + lines[0], path[1] + lines[1]]
    if not path[1]:
        print("no file of the data path was run", file=sys.stderr)
        return 1
    unexplained = []
    for folder, rows in sorted(folders.items()):
        print(f"{folder:34}{sum(row[2] for row in rows):8} lines {share(sum(r[1] for r in rows), sum(r[2] for r in rows)):6.1f} %")
        for name, covered, total in sorted(rows):
            if share(covered, total) >= WANTED:
                continue
            reason = REASONS.get(name, "")
            if name.startswith(DATA_PATH) and not reason:
                unexplained.append(name)
            print(f"    {name.rsplit('/', 1)[1]:30}{total:8} lines {share(covered, total):6.1f} %  {reason}")
    print(f"{'data path':34}{path[1]:8} lines {share(*path):6.1f} %")
    for name in unexplained:
        print(f"below {WANTED:g} % and without a reason: {name}", file=sys.stderr)
    return 1 if unexplained or share(*path) < WANTED else 0


if __name__ == "__main__":
    sys.exit(main())
