"""The folder that an export is written to, and nothing outside it."""

import hashlib
from pathlib import Path, PurePosixPath

from runner.errors import UnfitFolder


class ExportFolder:
    """Writes files by their path inside one folder."""

    def __init__(self, folder: Path, overwrite: bool) -> None:
        """Make the folder.

        Raises:
            UnfitFolder: it is a file, or has files that may not be overwritten.
        """
        if folder.exists() and not folder.is_dir():
            raise UnfitFolder(f"{folder} is not a folder. Name one that is empty, or a new one.")
        folder.mkdir(parents=True, exist_ok=True)
        if not overwrite and any(folder.iterdir()):
            raise UnfitFolder(
                f"{folder} is not empty. Name another folder, or write over what an earlier "
                "export left there with --overwrite."
            )
        self._root = folder.resolve()
        self._safe: set[Path] = set()
        self._owners: dict[str, str] = {}
        self.num_bytes = 0

    def reserve(self, path: PurePosixPath, owner: str) -> PurePosixPath:
        """The path for what is at an address; changed where another address has it.

        Two names that differ in capitals alone are one file on some systems.
        """
        if self._owners.setdefault(str(path).casefold(), owner) == owner:
            return path
        part = f"-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"
        if path.name == "index.html":
            return path.parent.with_name(f"{path.parent.name}{part}") / path.name
        return path.with_stem(f"{path.stem}{part}")

    def write(self, path: PurePosixPath, content: bytes) -> None:
        """Write a file, and the folders that it is in.

        Raises:
            UnfitFolder: a link that an earlier owner left there leads out of the folder.
        """
        target = self._root / path
        if target.parent not in self._safe:
            if not target.parent.resolve().is_relative_to(self._root):
                raise UnfitFolder(f"{target.parent} leads out of {self._root}; remove that link.")
            target.parent.mkdir(parents=True, exist_ok=True)
            self._safe.add(target.parent)
        if target.is_symlink():
            target.unlink()
        target.write_bytes(content)
        self.num_bytes += len(content)
