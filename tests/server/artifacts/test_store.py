from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from server.artifacts.store import ArtifactStore
from server.errors import ArtifactsUnavailable, NotFound


@pytest.fixture(params=["file", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArtifactStore]:
    """A store in a folder with a space in its name, and one that is no folder at all."""
    if request.param == "file":
        yield ArtifactStore(f"file://{tmp_path}/the artifacts")
        return
    yield ArtifactStore("memory://bucket/prefix")
    # All of its stores are one.
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def put(artifacts: ArtifactStore, name: str, content: bytes = b"content") -> None:
    file = artifacts.create(name)
    artifacts.write(file, content)
    artifacts.finish(name, file)


def test_a_file_is_read_as_it_was_written(artifacts: ArtifactStore) -> None:
    file = artifacts.create("a.tar")
    artifacts.write(file, b"one, ")
    artifacts.write(file, b"two")
    artifacts.finish("a.tar", file)
    with artifacts.read("a.tar") as written:
        assert written.read() == b"one, two"
    assert abs(artifacts.modified_at("a.tar") - datetime.now(UTC)) < timedelta(minutes=1)


def test_files_are_listed_until_they_are_deleted(artifacts: ArtifactStore) -> None:
    assert artifacts.names() == []
    for name in ("b.tar", "a.tar"):
        put(artifacts, name)
    assert artifacts.names() == ["a.tar", "b.tar"]
    artifacts.delete("a.tar")
    artifacts.delete("a.tar")
    assert artifacts.names() == ["b.tar"]


def test_what_is_not_there_is_not_found(artifacts: ArtifactStore) -> None:
    with pytest.raises(NotFound, match=r"no artifact a\.tar"):
        artifacts.read("a.tar")
    with pytest.raises(NotFound, match=r"no artifact a\.tar"):
        artifacts.modified_at("a.tar")


def test_a_discarded_file_is_gone(artifacts: ArtifactStore) -> None:
    file = artifacts.create("a.tar")
    artifacts.write(file, b"half")
    artifacts.discard("a.tar", file)
    assert artifacts.names() == []


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactsUnavailable, match=r"Error: .*file"):
        ArtifactStore(f"file://{tmp_path}/file/artifacts")


def test_a_folder_that_is_lost_is_no_crash(tmp_path: Path) -> None:
    artifacts = ArtifactStore(f"file://{tmp_path}/artifacts")
    (tmp_path / "artifacts").rmdir()
    with pytest.raises(ArtifactsUnavailable, match="FileNotFoundError"):
        artifacts.create("a.tar")
    assert artifacts.names() == []
