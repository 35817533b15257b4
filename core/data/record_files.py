"""Local files of rows: parquet, JSON lines (plain, .gz, .zst) and whole text files."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from pydantic import JsonValue

from core.errors import DataUnavailable

PARQUET = (".parquet",)
JSON_LINES = (".jsonl", ".json", ".jsonl.gz", ".jsonl.zst")
TEXT = (".txt",)
SUFFIXES = PARQUET + JSON_LINES + TEXT

_SPLITS = ("train", "validation", "test")
_READ_ERRORS = (OSError, EOFError, ValueError, pa.ArrowException, zlib.error, zstandard.ZstdError)
_CHUNK_BYTES = 1 << 20
_PARQUET_BATCH_ROWS = 1024
_LARGEST_ZSTD_WINDOW_BYTES = 1 << 31


class Row(NamedTuple):
    """Some fields of one row."""

    where: str
    """File and row or line, counted from 1, for messages."""
    fields: dict[str, JsonValue]


@contextmanager
def reading(name: str, remedy: str) -> Iterator[None]:
    """Turn what a reading library raises into DataUnavailable with a name and a remedy."""
    try:
        yield
    except _READ_ERRORS as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
        message = f"cannot read {name}: {type(error).__name__}: {reason}. {remedy}"
        raise DataUnavailable(message) from error


def find_files(path: Path, split: str | None = None) -> tuple[Path, ...]:
    """The files of rows at a path: itself, or all below a folder in sorted order.

    Args:
        split: where names of files in the folder start with a split (`train`, `validation`,
            `test`), only those of this one count.

    Raises:
        DataUnavailable: there is no such file.
    """
    allowed = ", ".join(SUFFIXES)
    if path.is_file():
        if not path.name.endswith(SUFFIXES):
            raise DataUnavailable(f"{path} must be a file of one of these kinds: {allowed}.")
        return (path,)
    if not path.is_dir():
        raise DataUnavailable(f"{path} does not exist. Give a file or folder that does.")
    found = sorted(
        file
        for file in path.rglob("*")
        if file.name.endswith(SUFFIXES)
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if split and any(file.name.startswith(_SPLITS) for file in found):
        chosen = [file for file in found if file.name.startswith(split)]
        if not chosen:
            names = ", ".join(file.name for file in found[:5])
            raise DataUnavailable(f"{path} has no file of the split `{split}`, only {names}.")
        return tuple(chosen)
    if not found:
        raise DataUnavailable(f"{path} has no file of one of these kinds: {allowed}.")
    return tuple(found)


def fingerprint_files(path: Path, split: str | None = None) -> JsonValue:
    """Name, size and SHA-256 of each file that `find_files` finds.

    Raises:
        DataUnavailable: as `find_files`, or a file cannot be read.
    """
    return [_fingerprint(file, path) for file in find_files(path, split)]


def read_rows(path: Path, fields: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of one file, in order; a text file is one row with one field.

    Raises:
        DataUnavailable: the file is damaged or lacks a field; names file, line and field.
    """
    with reading(str(path), "Fetch or write the file again."):
        if path.name.endswith(PARQUET):
            yield from _parquet_rows(path, fields)
        elif path.name.endswith(JSON_LINES):
            yield from _json_rows(path, fields)
        else:
            if len(fields) != 1:
                raise DataUnavailable(f"{path} is plain text; it has no fields {list(fields)}.")
            yield Row(str(path), {fields[0]: path.read_text(encoding="utf-8")})


def require_fields(where: str, names: Iterable[str], fields: Sequence[str]) -> None:
    """Check that every field is among the names that there are.

    Raises:
        DataUnavailable: one is missing; the message lists those that there are.
    """
    present = list(names)
    for field in fields:
        if field not in present:
            raise DataUnavailable(
                f"{where} has no field `{field}`; it has {', '.join(present) or 'none'}."
            )


def _fingerprint(file: Path, root: Path) -> JsonValue:
    with reading(str(file), "Check that it may be read."), file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name = file.name if file == root else file.relative_to(root).as_posix()
        return {"name": name, "size": file.stat().st_size, "sha256": digest}


def _parquet_rows(path: Path, fields: Sequence[str]) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        require_fields(str(path), file.schema_arrow.names, fields)
        number = 0
        for batch in file.iter_batches(_PARQUET_BATCH_ROWS, columns=list(fields)):
            for row in batch.to_pylist():
                number += 1
                yield Row(f"{path}, row {number}", row)


def _json_rows(path: Path, fields: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            message = f"{where}: {error}. Each line must be one JSON object in UTF-8."
            raise DataUnavailable(message) from error
        if not isinstance(row, dict):
            message = f"{where} holds a {type(row).__name__}; each line must be one JSON object."
            raise DataUnavailable(message)
        require_fields(where, row, fields)
        yield Row(where, {field: row[field] for field in fields})


def _lines(path: Path) -> Iterator[bytes]:
    """Lines, so that a damaged archive is reported with the number of the line it breaks in."""
    number, pending = 0, b""
    try:
        for chunk in _chunks(path):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                number += 1
                yield line
    except _READ_ERRORS as error:
        message = f"{path} is damaged after line {number}: {error}. Fetch or write the file again."
        raise DataUnavailable(message) from error
    if pending:
        yield pending


def _chunks(path: Path) -> Iterator[bytes]:
    if path.name.endswith(".zst"):
        yield from _zstandard_chunks(path)
        return
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _zstandard_chunks(path: Path) -> Iterator[bytes]:
    """Frames one by one: the library's own stream reader takes a cut-off file for a whole one."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_ZSTD_WINDOW_BYTES)
    frame = decompressor.decompressobj()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            while chunk:
                if frame.eof:
                    frame = decompressor.decompressobj()
                yield frame.decompress(chunk)
                chunk = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("the file ends in the middle of a frame")
