"""What the processes of a running segmilter are still permitted to do, as seen from outside."""
import os
import re
from pathlib import Path

from .process import children, title
from .report import Checks

FOUR = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def _status(path: Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)


def look(checks: Checks, how: str, supervisor: int, uid: int, bounds: int = 0, seccomp: str = "2") -> None:
    """Checks every thread of the supervisor and of its four children: they run as `uid`, without any capability. `bounds`: the
    capabilities that may remain in the bounding set."""
    family = [supervisor, *children(supervisor)]
    names = sorted(re.sub(r".*\[segm-(.*)\]", r"\1", title(pid)) for pid in family[1:])
    checks.that(len(names) == 4 and {"desk", "filter", "memory"} < set(names), f"{how}: a supervisor and {', '.join(names)}")
    for pid in family:
        name = re.sub(r".*\[(.*)\]", r"\1", title(pid))
        tasks = [_status(task / "status") for task in Path(f"/proc/{pid}/task").iterdir()]
        wrong = {key: task[key] for task in tasks for key in FOUR if int(task[key], 16)}
        wrong |= {"CapBnd": task["CapBnd"] for task in tasks if int(task["CapBnd"], 16) & ~bounds}
        wrong |= {"Uid": task["Uid"] for task in tasks if set(task["Uid"].split()) != {str(uid)}}
        wrong |= {"NoNewPrivs": task["NoNewPrivs"] for task in tasks if task["NoNewPrivs"] != "1"}
        wrong |= {"Seccomp": task["Seccomp"] for task in tasks if task["Seccomp"] != seccomp}
        cores = re.search(r"Max core file size\s+(\S+)\s+(\S+)", Path(f"/proc/{pid}/limits").read_text())
        if cores.groups() != ("0", "0"):
            wrong["core"] = cores.groups()
        # The files of a process that cannot be dumped belong to root there, whatever its user is (proc(5)).
        if os.stat(f"/proc/{pid}/environ").st_uid != 0:
            wrong["dumpable"] = "yes"
        checks.that(not wrong, f"{how}: {name}, {len(tasks)} threads: uid {uid}, no capability, no new privileges, seccomp "
                               f"{seccomp}, no core {wrong or ''}")
