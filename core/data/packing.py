"""From documents to one stream of tokens on disk, split once into training and validation.

Document, separator, document, separator, and so on in the order of the source. The last
documents are held out before anything is cut into rows, so no document is in both parts.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from core.data.corpus_cache import (
    TOKENS_FILE,
    CorpusCache,
    Manifest,
    Tokens,
    open_tokens,
    tokens_hash,
)
from core.data.sources import documents, fingerprint
from core.data.tokenizer import Tokenizer, load_tokenizer
from core.errors import DataUnavailable
from core.schema.experiment import DataConfig
from core.schema.mirror import Mirror

Progress = Callable[[int, int], None]

FORMAT_VERSION = 1
"""Raised whenever the same documents would become other tokens or other files."""
BATCH_DOCUMENTS = 1024
BATCH_CHARACTERS = 2_000_000
"""About 100 MB while a batch is in work; two are at a time."""


@dataclass(frozen=True)
class PackedCorpus:
    """Tokens of a corpus, mapped from disk."""

    tokenizer: Tokenizer
    train: Tokens
    """[training tokens]."""
    validation: Tokens
    """[validation tokens]."""
    train_hash: str
    """`tokens_hash` of `train`."""
    num_documents: int
    """Documents read."""
    num_held_out: int
    """Documents, the last ones, that became `validation`."""

    def validation_rows(self, sequence_length: int, rows: int) -> Tokens:
        """The first whole rows of the validation tokens, [at most `rows`, sequence_length].

        Raises:
            DataUnavailable: there is not one whole row.
        """
        count = min(rows, self.validation.size // sequence_length)
        if count < 1:
            raise DataUnavailable(
                f"the {self.num_held_out} held-out documents have {self.validation.size} tokens; "
                f"one validation row needs {sequence_length}. Read more documents or hold out a "
                "larger share."
            )
        return self.validation[: count * sequence_length].reshape(count, sequence_length)


def prepare(
    data: DataConfig, mirror: Mirror, cache_directory: Path, progress: Progress
) -> PackedCorpus:
    """Tokenise a corpus, or reuse what an earlier run left in the cache.

    Several processes may prepare the same data at once: one works, the others wait for it.

    Args:
        progress: called with (documents done, documents asked for); may raise to stop.

    Raises:
        DataUnavailable: the source, the tokenizer or the cache folder cannot be used.
    """
    tokenizer = load_tokenizer(data.tokenizer, data.separator, mirror)
    cache = CorpusCache(cache_directory, _key(data, mirror, tokenizer))
    try:
        with cache.locked(waiting=lambda: progress(0, data.num_documents)):
            manifest = cache.read() or cache.write(
                lambda folder: _pack(folder, data, mirror, tokenizer, progress)
            )
            train, validation = open_tokens(cache.folder, manifest)
    except OSError as error:
        raise DataUnavailable(
            f"cannot keep token files in {cache_directory}: {error}. Free some space or give "
            "another cache folder."
        ) from error
    progress(manifest.num_documents, manifest.num_documents)
    return PackedCorpus(
        tokenizer=tokenizer,
        train=train,
        validation=validation,
        train_hash=manifest.train_hash,
        num_documents=manifest.num_documents,
        num_held_out=manifest.num_held_out,
    )


def num_held_out(num_documents: int, fraction: float) -> int:
    """Documents to hold out: floor(fraction × documents) in decimal arithmetic, at least 1."""
    return max(1, int(Fraction(str(fraction)) * num_documents))


def _key(data: DataConfig, mirror: Mirror, tokenizer: Tokenizer) -> str:
    shape = {
        "format": FORMAT_VERSION,
        "source": fingerprint(data.source, mirror),
        "tokenizer": tokenizer.hash,
        "separator": data.separator,
        "num_documents": data.num_documents,
        "held_out_fraction": data.held_out_fraction,
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:32]


def _pack(
    folder: Path, data: DataConfig, mirror: Mirror, tokenizer: Tokenizer, progress: Progress
) -> Manifest:
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")
    lengths = array("Q")
    with (folder / TOKENS_FILE).open("wb") as file:
        for batch in _token_batches(documents(data, mirror), tokenizer):
            lengths.extend(len(ids) for ids in batch)
            num_tokens = sum(len(ids) for ids in batch)
            np.fromiter(chain.from_iterable(batch), dtype=dtype, count=num_tokens).tofile(file)
            progress(len(lengths), data.num_documents)
    if len(lengths) < 2:
        raise DataUnavailable(
            f"the source has {len(lengths)} document(s) with text; at least 2 are needed, one to "
            "train on and one to hold out."
        )
    held_out = num_held_out(len(lengths), data.held_out_fraction)
    train_tokens = sum(lengths[:-held_out])
    tokens = np.memmap(folder / TOKENS_FILE, dtype=dtype, mode="r")
    return Manifest(
        bytes_per_token=dtype.itemsize,
        train_tokens=train_tokens,
        validation_tokens=tokens.size - train_tokens,
        train_hash=tokens_hash(tokens[:train_tokens]),
        validation_hash=tokens_hash(tokens[train_tokens:]),
        num_documents=len(lengths),
        num_held_out=held_out,
    )


def _token_batches(texts: Iterator[str], tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """Token ids of documents, separators added, in order; one batch is read ahead."""
    batches = _text_batches(texts)

    def next_batch() -> list[list[int]]:
        batch = tokenizer.encode(next(batches, []))
        for ids in batch:
            ids.append(tokenizer.separator_id)
        return batch

    with ThreadPoolExecutor(max_workers=1) as reader:
        pending = reader.submit(next_batch)
        while batch := pending.result():
            pending = reader.submit(next_batch)
            yield batch


def _text_batches(texts: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if len(batch) == BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
