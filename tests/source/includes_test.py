#!/usr/bin/env python3
"""Which folder may include which: two short tables, held against each #include of the project.

    tests/source/includes_test.py
"""
import re
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]

# A file includes headers of its own folder and of the lines below, never of its own line or of those
# above. So an arrow can only point downwards, and the proxy and the filter know nothing of each other.
FLOORS = """
    milter
    milter/cli
    milter/supervisor  milter/offline  milter/doctor
    milter/proxy  milter/wire  milter/filter  milter/desk
    milter/evidence  milter/memory
    milter/process
    milter/log  milter/policy
    milter/config  milter/capture  milter/recorded
    milter/seal  milter/tcp
    milter/net
    classifier
    text
"""

# A library's headers are included in these folders only, so that another one could take its place. cli/ has
# most of them for `segmilter --version`. The standard library, fmt and POSIX are for every folder of milter/.
LIBRARIES = {
    "event2/": "milter/net milter/evidence milter/desk milter/cli",
    "libmilter/": "milter/filter milter/cli",
    "bpf/": "milter/capture milter/cli",
    "nettle/": "milter/seal",
    "seccomp.h": "milter/process",
    "cap-ng.h": "milter/supervisor",
    "systemd/": "milter/supervisor",
    "toml++/": "milter/config milter/cli",
    "spdlog/": "milter/log milter/cli",
    "CLI/": "milter/cli",
    "nlohmann/": "milter/log milter/offline milter/doctor",
    "zlib.h": "milter/offline",
    "zstd.h": "milter/offline milter/memory",
    "sqlite3.h": "milter/memory",
    "lzma.h": "milter/offline",
}

POSIX = re.compile(r"(sys|linux|net|netinet|arpa)/.*|(dirent|fcntl|grp|ifaddrs|netdb|poll|pwd|sched|signal|spawn|strings?"
                   r"|sysexits|syslog|termios|time|unistd)\.h")

# The classifier has the standard library and fmt, and of these no clock, file, thread or socket.
NOT_IN_THE_CLASSIFIER = {"chrono", "ctime", "fstream", "filesystem", "iostream", "thread", "mutex"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def floors():
    """Each folder's height: 0 is the lowest."""
    lines = FLOORS.split("\n")[1:-1]
    return {folder: len(lines) - line for line, folders in enumerate(lines) for folder in folders.split()}


def wrong_project_include(folder, name, heights):
    to = str(Path(name).parent)
    if to == "." or to == folder:  # made while building, or a neighbour
        return None
    if to not in heights:
        return f"{to} is in no line of FLOORS"
    if heights[to] >= heights[folder]:
        return f"{folder} may not include from {to}: it stands no lower"
    return None


def wrong_library(folder, name):
    standard = name.startswith("fmt/") or not re.search("[./]", name)
    if folder in ("text", "classifier") and (not standard or name in NOT_IN_THE_CLASSIFIER):
        return f"the classifier does without <{name}>"
    if standard or POSIX.fullmatch(name):
        return None
    for library, folders in LIBRARIES.items():
        if name.startswith(library):
            return None if folder in folders.split() else f"<{library}> is for {folders}"
    return f"<{name}> is in no line of LIBRARIES"


def wrong_includes(source):
    """One line for each include that the tables do not allow."""
    heights = floors()
    found = []
    files = [path for folder in ("text", "classifier", "milter") for path in source.glob(f"{folder}/**/*")]
    for path in sorted(files):
        if path.suffix not in (".h", ".cc"):
            continue
        folder = str(path.parent.relative_to(source))
        if folder not in heights:
            found.append(f"{path.relative_to(source)}: {folder} is in no line of FLOORS")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            project, system = match.groups()
            wrong = wrong_project_include(folder, project, heights) if project else wrong_library(folder, system)
            if wrong:
                line = text.count("\n", 0, match.start(0)) + 1
                found.append(f"{path.relative_to(source)}:{line}: {wrong}")
    return found


class Project(unittest.TestCase):
    def test_includes_point_downwards(self):
        self.assertEqual([], wrong_includes(SOURCE))

    def test_each_folder_of_the_tables_is_there(self):
        for folder in [*floors(), *" ".join(LIBRARIES.values()).split()]:
            self.assertTrue(list((SOURCE / folder).glob("*.*")), folder)

    def test_each_library_of_the_table_is_used_where_it_says(self):
        for library, folders in LIBRARIES.items():
            for folder in folders.split():
                used = any(library in path.read_text() for path in (SOURCE / folder).glob("*.*"))
                self.assertTrue(used, f"<{library}> in {folder}")


class Tables(unittest.TestCase):
    def said_of(self, path, text):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(text)
            return wrong_includes(Path(folder))

    def test_an_include_of_a_lower_folder_is_right(self):
        self.assertEqual([], self.said_of("milter/proxy/a.cc", '#include "milter/net/fd.h"\n#include <vector>\n'))
        self.assertEqual([], self.said_of("milter/proxy/a.cc", '#include "milter/proxy/b.h"\n'))

    def test_an_arrow_upwards_is_found(self):
        self.assertEqual(
            ["milter/net/a.h:2: milter/net may not include from milter/proxy: it stands no lower"],
            self.said_of("milter/net/a.h", '// a\n#include "milter/proxy/b.h"\n'))

    def test_so_is_one_between_neighbours(self):
        self.assertEqual(
            ["milter/filter/a.h:1: milter/filter may not include from milter/proxy: it stands no lower"],
            self.said_of("milter/filter/a.h", '#include "milter/proxy/b.h"\n'))

    def test_a_folder_that_is_in_no_table_is_found(self):
        self.assertEqual(["milter/new/a.cc: milter/new is in no line of FLOORS"],
                         self.said_of("milter/new/a.cc", ""))
        self.assertEqual(["milter/cli/a.cc:1: milter/new is in no line of FLOORS"],
                         self.said_of("milter/cli/a.cc", '#include "milter/new/a.h"\n'))

    def test_a_library_outside_of_its_folders_is_found(self):
        self.assertEqual(["milter/proxy/a.cc:1: <libmilter/> is for milter/filter milter/cli"],
                         self.said_of("milter/proxy/a.cc", "#include <libmilter/mfapi.h>\n"))
        self.assertEqual(["classifier/a.cc:1: the classifier does without <chrono>"],
                         self.said_of("classifier/a.cc", "#include <chrono>\n"))
        self.assertEqual(["classifier/a.cc:1: the classifier does without <unistd.h>"],
                         self.said_of("classifier/a.cc", "#include <unistd.h>\n"))

    def test_a_library_that_is_in_no_table_is_found(self):
        self.assertEqual(["milter/net/a.cc:1: <leveldb.h> is in no line of LIBRARIES"],
                         self.said_of("milter/net/a.cc", "#include <leveldb.h>\n"))


if __name__ == "__main__":
    unittest.main()
