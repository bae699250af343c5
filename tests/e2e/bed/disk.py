"""A disk so small that a test can fill it."""
import shutil
import subprocess
from pathlib import Path


class SmallDisk:
    """A tmpfs of `size` ("2m") over `folder`, with the folder's owner and mode. What was there is hidden until the end."""

    def __init__(self, folder: Path, size: str):
        self.folder, self._size, self._filler = folder, size, folder / "filler"

    def __enter__(self):
        about = self.folder.stat()
        options = f"size={self._size},mode={about.st_mode & 0o7777:o},uid={about.st_uid},gid={about.st_gid}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder], check=True)
        return self

    def fill(self) -> None:
        with open(self._filler, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        if shutil.disk_usage(self.folder).free:
            raise RuntimeError(f"{self.folder} has room left")

    def empty(self) -> None:
        self._filler.unlink()

    def __exit__(self, *_):
        # Processes may have files open there.
        subprocess.run(["umount", "-l", self.folder], check=False)
