import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data import corpus_cache, packing
from core.data.corpus_cache import tokens_hash
from core.data.packing import PackedCorpus, num_held_out, prepare
from core.data.sources import documents
from core.errors import DataUnavailable, Interrupted
from core.schema.experiment import DataConfig, FilesSource, SyntheticSource
from core.schema.mirror import Mirror
from tests.full_disk import full_disk

PREPARE_IN_NEW_PROCESS = """
import sys
from pathlib import Path
from core.data.packing import prepare
from core.schema.experiment import DataConfig
from core.schema.mirror import Mirror
print("started", flush=True)
corpus = prepare(
    DataConfig.model_validate_json(sys.argv[1]), Mirror(), Path(sys.argv[2]), lambda done, total: None
)
print(corpus.train_hash, flush=True)
"""


def ignore(done: int, total: int) -> None:
    pass


def synthetic(num_documents: int, world_seed: int = 0) -> DataConfig:
    source = SyntheticSource(kind="synthetic", world_seed=world_seed)
    return DataConfig(source=source, tokenizer="synthetic", num_documents=num_documents)


def files(folder: Path, texts: list[str], **settings) -> DataConfig:
    folder.mkdir(exist_ok=True)
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    source = FilesSource(kind="files", path=str(folder))
    return DataConfig(source=source, tokenizer="synthetic", num_documents=1000, **settings)


def prepared(data: DataConfig, folder: Path) -> PackedCorpus:
    return prepare(data, Mirror(), folder, ignore)


def start(data: DataConfig, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE_IN_NEW_PROCESS, data.model_dump_json(), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )


def cached_folder(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


@pytest.mark.parametrize(
    ("num_documents", "fraction", "expected"),
    [
        (9648, 0.1, 964),
        (10, 0.1, 1),
        (9, 0.1, 1),
        (2, 0.01, 1),
        (2, 0.99, 1),
        # 0.29 × 100 is 28.999999999999996 in binary floating point.
        (100, 0.29, 29),
    ],
)
def test_held_out_documents_by_hand(num_documents, fraction, expected):
    assert num_held_out(num_documents, fraction) == expected


def test_tokens_hash_by_hand():
    # 1 and 258 as little-endian 32-bit numbers.
    expected = hashlib.sha256(bytes([1, 0, 0, 0, 2, 1, 0, 0])).hexdigest()
    for dtype in ("<u2", "<u4", ">u2", "int64"):
        assert tokens_hash(np.array([[1], [258]], dtype=dtype)) == expected


def test_each_document_is_followed_by_the_separator(tmp_path):
    data = files(tmp_path / "text", ["ab", "c", "de", "f"], held_out_fraction=0.5)
    corpus = prepared(data, tmp_path / "cache")
    end = "<|endoftext|>"
    assert corpus.tokenizer.decode(corpus.train.tolist()) == f"ab{end}c{end}"
    assert corpus.tokenizer.decode(corpus.validation.tolist()) == f"de{end}f{end}"
    assert (corpus.num_documents, corpus.num_held_out) == (4, 2)
    assert corpus.train.dtype == np.dtype("<u2")
    assert corpus.train_hash == tokens_hash(corpus.train)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=2, max_size=40),
    fraction=st.floats(0.01, 0.99),
)
def test_the_last_documents_and_no_others_are_held_out(tmp_path, lengths, fraction):
    texts = [f"{number} " * length for number, length in enumerate(lengths)]
    data = files(tmp_path / "text", texts, held_out_fraction=fraction)
    corpus = prepared(data, tmp_path / "cache")
    end = "<|endoftext|>"
    decode = corpus.tokenizer.decode
    train = decode(corpus.train.tolist()).split(end)[:-1]
    validation = decode(corpus.validation.tolist()).split(end)[:-1]
    assert train + validation == texts
    assert len(validation) == corpus.num_held_out >= 1
    assert not set(train) & set(validation)


def test_batches_do_not_change_the_tokens(tmp_path, monkeypatch):
    whole = prepared(synthetic(50), tmp_path / "a")
    monkeypatch.setattr(packing, "BATCH_DOCUMENTS", 7)
    cut = prepared(synthetic(50), tmp_path / "b")
    monkeypatch.setattr(packing, "BATCH_CHARACTERS", 1)
    single = prepared(synthetic(50), tmp_path / "c")
    assert whole.train_hash == cut.train_hash == single.train_hash
    assert whole.validation.tolist() == single.validation.tolist()


def test_a_vocabulary_past_16_bits_is_stored_in_32(tmp_path, monkeypatch):
    plain = prepared(synthetic(20), tmp_path / "a")
    load = packing.load_tokenizer

    def load_large(*args):
        tokenizer = load(*args)
        tokenizer.vocab_size = 65_537
        return tokenizer

    monkeypatch.setattr(packing, "load_tokenizer", load_large)
    wide = prepared(synthetic(20), tmp_path / "b")
    assert wide.train.dtype == np.dtype("<u4")
    assert wide.train_hash == plain.train_hash


def test_validation_rows_are_the_first_whole_ones(tmp_path):
    corpus = prepared(synthetic(20), tmp_path)
    rows = corpus.validation_rows(8, 3)
    assert rows.shape == (3, 8)
    assert rows.reshape(-1).tolist() == corpus.validation[:24].tolist()
    available = corpus.validation.size // 8
    assert corpus.validation_rows(8, 10**6).shape == (available, 8)
    with pytest.raises(DataUnavailable, match="one validation row needs 1000000"):
        corpus.validation_rows(10**6, 1)


def test_a_second_preparation_reads_the_cache(tmp_path, monkeypatch):
    first = prepared(synthetic(30), tmp_path)

    def no_documents(*args):
        raise AssertionError("the source was read again")

    monkeypatch.setattr(packing, "documents", no_documents)
    calls = []
    second = prepare(synthetic(30), Mirror(), tmp_path, lambda *done: calls.append(done))
    assert second.train_hash == first.train_hash
    assert second.train.tolist() == first.train.tolist()
    assert calls == [(30, 30)]


def test_progress_counts_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "BATCH_DOCUMENTS", 10)
    calls = []
    prepare(synthetic(25), Mirror(), tmp_path, lambda *done: calls.append(done))
    assert calls == [(10, 25), (20, 25), (25, 25), (25, 25)]


def test_whatever_shapes_the_tokens_has_its_own_cache(tmp_path):
    cache, text = tmp_path / "cache", tmp_path / "text"
    base = files(text, ["one", "two", "three", "four"])
    prepared(base, cache)
    prepared(base.model_copy(update={"held_out_fraction": 0.5}), cache)
    prepared(base.model_copy(update={"num_documents": 3}), cache)
    prepared(base.model_copy(update={"separator": "<end>"}), cache)
    prepared(files(text, ["one", "two", "three", "five"]), cache)
    assert sum(path.is_dir() for path in cache.iterdir()) == 5


@pytest.mark.parametrize("damage", ["cut off", "flipped", "manifest lost", "manifest cut off"])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    expected = prepared(synthetic(30), tmp_path).train_hash
    folder = cached_folder(tmp_path)
    tokens, manifest = folder / "tokens.bin", folder / "manifest.json"
    content = tokens.read_bytes()
    if damage == "cut off":
        tokens.write_bytes(content[:-2])
    elif damage == "flipped":
        tokens.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "manifest lost":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text()[:50])
    assert prepared(synthetic(30), tmp_path).train_hash == expected
    assert tokens.read_bytes() == content


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path):
    with full_disk(1000), pytest.raises(DataUnavailable, match=r"cannot keep token files .* space"):
        prepared(synthetic(300), tmp_path)
    assert not any(path.is_dir() for path in tmp_path.iterdir())
    assert prepared(synthetic(300), tmp_path).num_documents == 300


def test_stopping_on_the_way_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "BATCH_DOCUMENTS", 5)

    def stop(done: int, total: int) -> None:
        if done >= 10:
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        prepare(synthetic(30), Mirror(), tmp_path, stop)
    assert not any(path.is_dir() for path in tmp_path.iterdir())
    assert prepared(synthetic(30), tmp_path).num_documents == 30


def test_a_kill_at_any_moment_leaves_nothing_that_looks_whole(tmp_path):
    data = synthetic(3000)
    expected = prepared(data, tmp_path / "undisturbed").train_hash
    for delay_seconds in (0.1, 0.3, 0.5, 0.7):
        process = start(data, tmp_path / "cache")
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        time.sleep(delay_seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for manifest in (tmp_path / "cache").glob("*/manifest.json"):
            if manifest.parent.suffix != ".partial":
                cache = corpus_cache.CorpusCache(tmp_path / "cache", manifest.parent.name)
                assert cache.read() is not None
    assert prepared(data, tmp_path / "cache").train_hash == expected
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_two_processes_at_once_make_one_corpus(tmp_path):
    processes = [start(synthetic(1500), tmp_path) for _ in range(2)]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][1] == outputs[1][1] == prepared(synthetic(1500), tmp_path).train_hash
    assert sum(path.is_dir() for path in tmp_path.iterdir()) == 1


def test_who_waits_for_another_process_can_be_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_cache, "_LOCK_POLL_SECONDS", 0.05)
    prepared(synthetic(5), tmp_path)
    other = corpus_cache.CorpusCache(tmp_path, cached_folder(tmp_path).name)

    def stop(done: int, total: int) -> None:
        raise Interrupted(f"stopped at {done} of {total}")

    with (
        other.locked(waiting=lambda: None),
        pytest.raises(Interrupted, match="stopped at 0 of 5"),
    ):
        prepare(synthetic(5), Mirror(), tmp_path, stop)


def test_one_document_is_too_few(tmp_path):
    data = files(tmp_path / "text", ["one", "", ""])
    with pytest.raises(DataUnavailable, match=r"1 document\(s\) with text; at least 2"):
        prepared(data, tmp_path / "cache")


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataUnavailable, match=r"cannot keep token files in .*file"):
        prepared(synthetic(5), tmp_path / "file")


def test_ninety_percent_of_4000_documents_train_the_debug_track(tmp_path):
    corpus = prepared(synthetic(4000), tmp_path)
    assert (corpus.num_documents, corpus.num_held_out) == (4000, 400)
    assert corpus.train.size >= 530_000
    assert corpus.validation.size >= 200 * 128
    texts = documents(synthetic(4000), Mirror())
    held_out_bytes = sum(len(text.encode()) for text in list(texts)[3600:])
    assert corpus.tokenizer.token_bytes()[corpus.validation].sum() == held_out_bytes
