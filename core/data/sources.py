"""Where documents come from: the hub, a mirror of it, local files, or a made-up world."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from core.data.hub import hub_rows
from core.data.record_files import Row, find_files, fingerprint_files, read_rows, require_fields
from core.data.synthetic import World
from core.errors import DataUnavailable
from core.schema.experiment import DataConfig, FilesSource, HubSource, Source, SyntheticSource
from core.schema.mirror import Mirror

_SAMPLE_DOCUMENTS = 100


def documents(data: DataConfig, mirror: Mirror) -> Iterator[str]:
    """At most `data.num_documents` texts in the order of the source.

    Empty texts are left out and not counted: they would only add separators.

    Raises:
        DataUnavailable: something cannot be read; names it, what happened and the remedy.
    """
    texts = (text for text in _texts(data.source, mirror) if text)
    return islice(texts, data.num_documents)


def fingerprint(source: Source, mirror: Mirror) -> JsonValue:
    """What decides which texts a source gives, as far as it is known without the network.

    Local files count with name, size and SHA-256; a made-up world with its first documents;
    the hub with the revision as written, so that only a commit pins its content.

    Raises:
        DataUnavailable: a local file cannot be read.
    """
    if isinstance(source, SyntheticSource):
        digest = hashlib.sha256()
        for text in islice(World(source.world_seed).documents(), _SAMPLE_DOCUMENTS):
            digest.update(text.encode())
        return {**source.model_dump(mode="json"), "sample": digest.hexdigest()}
    local = _local(source, mirror)
    if local is None:
        return source.model_dump(mode="json")
    split = source.split if isinstance(source, HubSource) else None
    return {"text_field": source.text_field, "files": fingerprint_files(local, split)}


def mirrored(dataset: str, subset: str, mirror: Mirror) -> Path | None:
    """Where the mirror keeps a data set, by `dataset/subset` or else by `dataset`."""
    location = mirror.datasets.get(f"{dataset}/{subset}") or mirror.datasets.get(dataset)
    return Path(location).expanduser() if location else None


def _texts(source: Source, mirror: Mirror) -> Iterator[str]:
    if isinstance(source, SyntheticSource):
        yield from World(source.world_seed).documents()
        return
    for row in _rows(source, mirror):
        yield _text(row, source.text_field)


def _rows(source: HubSource | FilesSource, mirror: Mirror) -> Iterator[Row]:
    local = _local(source, mirror)
    if local is not None:
        split = source.split if isinstance(source, HubSource) else None
        for path in find_files(local, split):
            yield from read_rows(path, (source.text_field,))
    elif isinstance(source, HubSource):
        for row in hub_rows(source.dataset, source.subset, source.split, source.revision):
            require_fields(row.where, row.fields, (source.text_field,))
            yield row


def _local(source: HubSource | FilesSource, mirror: Mirror) -> Path | None:
    if isinstance(source, FilesSource):
        return Path(source.path).expanduser()
    return mirrored(source.dataset, source.subset, mirror)


def _text(row: Row, field: str) -> str:
    value = row.fields[field]
    if not isinstance(value, str):
        message = f"{row.where}: `{field}` is {value!r:.80}; it must be text."
        raise DataUnavailable(message)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{row.where}: `{field}` is not valid Unicode text: {error}."
        raise DataUnavailable(message) from error
    return value
