"""The comparability key changes with whatever a score depends on, and with nothing else."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from core.errors import DataUnavailable, InvalidInput
from core.schema import result
from core.schema.experiment import ExperimentConfig
from core.schema.job import RunSpec
from core.schema.mirror import Mirror
from core.schema.overrides import resolve
from core.schema.result import DataIdentity
from core.schema.track import Budget
from core.tracks import load_tracks
from core.train.environment import RunEnvironment
from core.train.measurement import open_data, reads_mirror, require_expected
from core.train.run import run
from tests.core.data.test_tokenizer import small_document

ARC = "allenai/ai2_arc/ARC-Easy"
TRAINING = ["ab cd ef", "gh ij"]
# 15 bytes and a separator are one validation row of 16; three of them are all that is held out.
HELD_OUT = ["a b c d e f g h", "i j k l m n o p", "q r s u v w x y"]
QUESTION = {
    "question": "What melts?",
    "choices": {"text": ["ice", "sand"], "label": ["A", "B"]},
    "answerKey": "A",
}
OTHER_QUESTION = QUESTION | {"question": "What flows?", "answerKey": "B"}
IDENTITY = DataIdentity(
    tokenizer_hash="a" * 64,
    train_hash="b" * 64,
    train_tokens=10,
    validation_hash="c" * 64,
    validation_tokens=20,
    validation_bytes=30,
    evaluation_hash="d" * 64,
)


class Recorder:
    def phase(self, phase, completed, total):
        pass

    def metric(self, point):
        pass

    def should_stop(self):
        return False


class Track:
    """The files of a track's data in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mirror = Mirror(datasets={ARC: str(folder / "arc")})
        self.write_texts(TRAINING + HELD_OUT)
        self.write_questions([QUESTION, OTHER_QUESTION])
        self.write_tokenizer(small_document())

    def write_texts(self, texts: list[str], name: str = "a.jsonl") -> None:
        self._write(f"text/{name}", "\n".join(json.dumps({"text": text}) for text in texts))

    def write_questions(self, rows: list[dict]) -> None:
        self._write("arc/test.jsonl", "\n".join(json.dumps(row) for row in rows))

    def write_tokenizer(self, document: dict) -> None:
        self._write("tokenizer/tokenizer.json", json.dumps(document))

    def experiment(self, **settings) -> ExperimentConfig:
        overrides = {
            "model.vocab_size": 300,
            "data.source": {"kind": "files", "path": str(self.folder / "text")},
            "data.tokenizer": str(self.folder / "tokenizer"),
            "data.num_documents": 100,
            "data.held_out_fraction": 0.6,
            "evaluation.sequence_length": 16,
            "evaluation.validation_rows": 100,
            "evaluation.tasks": ["arc_easy"],
        }
        return resolve(load_tracks()["gpu_24gb"].base, overrides | settings)

    def identity(self, **settings) -> DataIdentity:
        environment = RunEnvironment(self.folder / "cache", self.mirror, device="cpu")
        return open_data(self.experiment(**settings), environment, Recorder()).identity

    def key(self, **settings) -> str:
        return self.identity(**settings).comparability_key("gpu_24gb", 1)

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def track(tmp_path: Path) -> Track:
    return Track(tmp_path)


def flipped(text: str, place: int) -> str:
    """The text with another letter or sign of as many bytes in one place."""
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]


def test_the_key_by_hand():
    # The first half of what sha256sum says of six lines: track@3, 64 × a, 64 × b and :10,
    # 64 × c and :20:30, 64 × d, protocol 1.
    assert IDENTITY.comparability_key("track", 3) == "cdb7139b855ecb1e"


@pytest.mark.parametrize("field", DataIdentity.model_fields)
def test_every_field_of_the_identity_changes_the_key(field):
    old = getattr(IDENTITY, field)
    other = IDENTITY.model_copy(update={field: "e" * 64 if isinstance(old, str) else old + 1})
    assert other.comparability_key("track", 3) != IDENTITY.comparability_key("track", 3)


def test_track_version_and_protocol_change_the_key(monkeypatch):
    keys = {IDENTITY.comparability_key(*of) for of in (("a", 1), ("a", 2), ("b", 1))}
    monkeypatch.setattr(result, "EVALUATION_PROTOCOL", result.EVALUATION_PROTOCOL + 1)
    keys.add(IDENTITY.comparability_key("a", 1))
    assert len(keys) == 4


def test_what_is_hashed_by_hand(track):
    identity = track.identity()
    # A token a byte, and a separator a document: 8 + 1 + 5 + 1. The bytes of a row leave out its
    # first token, which is not predicted, and the separator, which is no text.
    assert identity.train_tokens == 15
    assert identity.validation_tokens == 3 * 15
    assert identity.validation_bytes == 3 * 14


def test_each_byte_of_the_validation_text_changes_the_key(track):
    before, keys = track.identity(), {track.key()}
    text = "\n".join(HELD_OUT)
    places = [place for place, letter in enumerate(text) if letter != "\n"]
    for place in places:
        track.write_texts(TRAINING + flipped(text, place).split("\n"))
        after = track.identity()
        assert after.train_hash == before.train_hash
        keys.add(after.comparability_key("gpu_24gb", 1))
    assert len(keys) == 1 + len(places) == 46


def test_each_byte_of_the_training_text_changes_the_key(track):
    before, keys = track.identity(), {track.key()}
    text = "\n".join(TRAINING)
    places = [place for place, letter in enumerate(text) if letter != "\n"]
    for place in places:
        track.write_texts(flipped(text, place).split("\n") + HELD_OUT)
        after = track.identity()
        assert after.validation_hash == before.validation_hash
        keys.add(after.comparability_key("gpu_24gb", 1))
    assert len(keys) == 1 + len(places) == 14


@pytest.mark.parametrize(
    "changes",
    [
        # The same bytes in another order, or divided otherwise.
        {"texts": [*reversed(TRAINING), *HELD_OUT]},
        {"texts": [*TRAINING, *reversed(HELD_OUT)]},
        {"settings": {"data.held_out_fraction": 0.8}},
        {"settings": {"data.num_documents": 4}},
        {"settings": {"evaluation.sequence_length": 8}},
        {"settings": {"evaluation.validation_rows": 2}},
        {"settings": {"data.separator": "<name>"}},
        {"settings": {"evaluation.tasks": []}},
    ],
    ids=str,
)
def test_what_is_scored_changes_the_key(track, changes):
    before = track.key()
    track.write_texts(changes.get("texts", TRAINING + HELD_OUT))
    assert track.key(**changes.get("settings", {})) != before


def test_a_tokenizer_with_another_merge_changes_the_key_even_if_no_token_differs(track):
    before = track.identity()
    document = small_document()
    # No text here has `th`, nor `hz`: all tokens stay as they are.
    document["model"]["vocab"] |= {"hz": 256}
    del document["model"]["vocab"]["th"]
    document["model"]["merges"] = [["h", "z"]]
    track.write_tokenizer(document)
    after = track.identity()
    assert after.validation_hash == before.validation_hash
    assert after.tokenizer_hash != before.tokenizer_hash
    assert track.key() != before.comparability_key("gpu_24gb", 1)


@pytest.mark.parametrize(
    "rows",
    [
        [QUESTION | {"question": "What melts!"}, OTHER_QUESTION],
        [QUESTION | {"choices": {"text": ["ice", "salt"], "label": ["A", "B"]}}, OTHER_QUESTION],
        [QUESTION | {"answerKey": "B"}, OTHER_QUESTION],
        [OTHER_QUESTION, QUESTION],
        [QUESTION],
    ],
    ids=["context", "choice", "answer", "order", "number"],
)
def test_a_question_changes_the_key(track, rows):
    before = track.identity()
    track.write_questions(rows)
    after = track.identity()
    assert after.evaluation_hash != before.evaluation_hash
    assert after == before.model_copy(update={"evaluation_hash": after.evaluation_hash})
    assert track.key() != before.comparability_key("gpu_24gb", 1)


def test_how_the_files_are_written_does_not_change_the_key(track, tmp_path):
    before = track.key()
    (tmp_path / "text" / "a.jsonl").unlink()
    # Two files, the later written first, one of them compressed, with further columns.
    lines = [json.dumps({"id": 7, "text": text, "more": [1]}) for text in HELD_OUT]
    (tmp_path / "text" / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    track.write_texts(TRAINING, "a.jsonl")
    assert track.key() == before
    track.write_questions([dict(reversed(row.items())) for row in (QUESTION, OTHER_QUESTION)])
    assert track.key() == before


def test_how_the_tokenizer_is_written_does_not_change_the_key(track):
    before = track.key()
    document = dict(reversed(small_document().items())) | {"truncation": {"max_length": 9}}
    document["model"]["merges"] = ["t h"]
    track.write_tokenizer(document)
    assert track.key() == before


def test_where_the_data_lies_and_whether_it_was_cached_does_not_change_the_key(track, tmp_path):
    before = track.key()
    assert track.key() == before
    shutil.rmtree(tmp_path / "cache")
    assert track.key() == before
    assert Track(tmp_path / "elsewhere").key() == before


def test_how_a_submission_trains_does_not_change_the_key(track):
    changed = {
        "model.hidden_size": 64,
        "training.batch_size": 4,
        "training.sequence_length": 64,
        "training.precision": "float32",
        "optimizer.ema_decay": 0.9,
    }
    assert track.identity(**changed) == track.identity()


def test_a_tokenizer_larger_than_the_vocabulary_is_refused_with_both_sizes(track):
    with pytest.raises(InvalidInput, match=r"model\.vocab_size: 258 is smaller than .* 259 entr"):
        track.identity(**{"model.vocab_size": 258})


def test_the_data_of_the_debug_track_is_the_one_that_is_pinned(tmp_path):
    debug = load_tracks()["debug"]
    environment = RunEnvironment(tmp_path, Mirror(), device="cpu")
    assert open_data(debug.base, environment, Recorder()).identity == debug.rules.expected_data


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tokenizer_hash": "e" * 64}, "tokenizer differ"),
        ({"train_tokens": 11}, "training text differ"),
        ({"validation_bytes": 31, "evaluation_hash": "e" * 64}, "validation text, questions"),
    ],
)
def test_other_data_than_the_tracks_is_refused_before_the_first_step(changes, named):
    other = IDENTITY.model_copy(update=changes)
    with pytest.raises(DataUnavailable, match=named):
        require_expected(other, IDENTITY, is_mirror=False)
    require_expected(other, IDENTITY, is_mirror=True)
    require_expected(other, None, is_mirror=False)
    require_expected(IDENTITY, IDENTITY, is_mirror=False)


def test_a_run_stops_at_data_that_is_not_the_tracks(track, tmp_path):
    spec = RunSpec(
        run_id="r_1",
        track="gpu_24gb",
        track_version=1,
        experiment=track.experiment(),
        seed=1,
        budget=Budget(memory_gib=24.0),
        expected_data=IDENTITY,
    )
    environment = RunEnvironment(tmp_path / "cache", track.mirror, device="cpu")
    with pytest.raises(DataUnavailable, match="tokenizer, training text"):
        run(spec, tmp_path / "run", environment, Recorder())


def test_only_what_the_hub_would_give_can_be_mirrored(track):
    debug, hub = (load_tracks()[name].base for name in ("debug", "gpu_24gb"))
    mirrored = RunEnvironment(track.folder, track.mirror, device="cpu")
    plain = RunEnvironment(track.folder, Mirror(), device="cpu")
    assert [reads_mirror(config, mirrored) for config in (hub, debug)] == [True, False]
    assert not reads_mirror(hub, plain)
