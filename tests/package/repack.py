"""Other versions of a built package, for upgrades that would otherwise need another build."""
import re
import subprocess
import tempfile
from pathlib import Path


def repacked(deb: Path, word: str, changes=lambda tree: None) -> Path:
    """The package with `+word` after its version, beside the original; `changes` may alter the unpacked tree."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
        control = tree / "DEBIAN/control"
        text = control.read_text()
        version = re.search(r"(?m)^Version: (.*)$", text).group(1)
        control.write_text(text.replace(f"Version: {version}\n", f"Version: {version}+{word}\n"))
        changes(tree)
        made = deb.with_name(f"{deb.stem}+{word}.deb")
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
    return made
