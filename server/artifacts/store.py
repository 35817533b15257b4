"""Files that are too large for the database, kept through fsspec: in a folder, or in a bucket."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from core.durable import flush_to_disk
from server.errors import ArtifactsUnavailable, NotFound, ServerError

logger = logging.getLogger(__name__)


class ArtifactStore:
    """Files by name below one address; there are no folders in it.

    Every method may be called from any thread, and may wait for a network.
    """

    def __init__(self, url: str) -> None:
        """Open the address; a local folder is made.

        Args:
            url: for fsspec, such as `file:///data/artifacts` or `s3://bucket/prefix`.

        Raises:
            ArtifactsUnavailable: the folder cannot be made.
        """
        with _failures_named():
            # What others changed meanwhile is to be seen.
            self._files, self._root = url_to_fs(
                url, use_listings_cache=False, skip_instance_cache=True
            )
            self._is_local = isinstance(self._files, LocalFileSystem)
            if self._is_local:
                self._files.makedirs(self._root, exist_ok=True)

    def create(self, name: str) -> IO[bytes]:
        """A new file to write to; `finish` closes it.

        Raises:
            ArtifactsUnavailable: it cannot be made.
        """
        with _failures_named():
            file: IO[bytes] = self._files.open(self._path(name), "wb")
        return file

    def write(self, file: IO[bytes], part: bytes) -> None:
        """Append to a file.

        Raises:
            ArtifactsUnavailable: it cannot be written.
        """
        with _failures_named():
            file.write(part)

    def finish(self, name: str, file: IO[bytes]) -> None:
        """Close a file that was written, and wait until it is kept.

        Raises:
            ArtifactsUnavailable: it may not be kept.
        """
        with _failures_named():
            file.close()
            if self._is_local:
                path = Path(self._path(name))
                flush_to_disk(path)
                flush_to_disk(path.parent)

    def discard(self, name: str, file: IO[bytes]) -> None:
        """Close and delete a file that is not wanted; what cannot be deleted now is swept later."""
        with suppress(ArtifactsUnavailable), _failures_named():
            file.close()
        self.delete_or_leave(name)

    def read(self, name: str) -> IO[bytes]:
        """A file to read; the caller closes it.

        Raises:
            NotFound: there is none of that name.
            ArtifactsUnavailable: it cannot be read.
        """
        with _failures_named(), _absence_named(name):
            file: IO[bytes] = self._files.open(self._path(name), "rb")
        return file

    def delete(self, name: str) -> None:
        """Delete a file, if it is there.

        Raises:
            ArtifactsUnavailable: it may still be there.
        """
        with _failures_named(), suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def delete_or_leave(self, name: str) -> None:
        """Delete a file; one that cannot be deleted now is swept later."""
        try:
            self.delete(name)
        except ArtifactsUnavailable as error:
            logger.warning("%s was not deleted: %s", name, error)

    def names(self) -> list[str]:
        """Every file, in order.

        Raises:
            ArtifactsUnavailable: they cannot be listed.
        """
        paths: list[str] = []
        # An address where nothing was kept yet need not exist.
        with _failures_named(), suppress(FileNotFoundError):
            paths = self._files.ls(self._root, detail=False)
        return sorted(path.rpartition("/")[2] for path in paths)

    def modified_at(self, name: str) -> datetime:
        """When a file was last written to.

        Raises:
            NotFound: there is none of that name.
            ArtifactsUnavailable: it cannot be asked for.
        """
        with _failures_named(), _absence_named(name):
            moment: datetime = self._files.modified(self._path(name))
        return moment

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _failures_named() -> Iterator[None]:
    """Turn whatever goes wrong into ArtifactsUnavailable."""
    try:
        yield
    except ServerError:
        raise
    except Exception as error:
        # Each file system has errors of its own, some of packages that are not installed here.
        reason = f"{type(error).__name__}: {error}"
        raise ArtifactsUnavailable(f"the server cannot reach its artifacts ({reason}).") from error


@contextmanager
def _absence_named(name: str) -> Iterator[None]:
    """Turn the absence of a file into NotFound."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"there is no artifact {name}.") from error
