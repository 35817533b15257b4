import json

import datasets
import pytest

from core.data.sources import documents, fingerprint
from core.data.synthetic import World
from core.errors import DataUnavailable
from core.schema.experiment import DataConfig, FilesSource, HubSource, Source, SyntheticSource
from core.schema.mirror import Mirror

HUB = HubSource(kind="hub", dataset="owner/name", subset="part", revision="abc")


def config(source: Source, num_documents: int = 100) -> DataConfig:
    return DataConfig(source=source, tokenizer="synthetic", num_documents=num_documents)


def write_lines(path, *values):
    path.write_text("\n".join(json.dumps({"text": value}) for value in values))


def test_files_are_read_one_after_the_other_up_to_the_number_asked_for(tmp_path):
    write_lines(tmp_path / "b.jsonl", "three", "four")
    write_lines(tmp_path / "a.jsonl", "one", "two")
    source = FilesSource(kind="files", path=str(tmp_path))
    assert list(documents(config(source), Mirror())) == ["one", "two", "three", "four"]
    assert list(documents(config(source, 3), Mirror())) == ["one", "two", "three"]


def test_empty_documents_are_left_out_and_not_counted(tmp_path):
    write_lines(tmp_path / "a.jsonl", "one", "", "two", "three")
    source = FilesSource(kind="files", path=str(tmp_path))
    assert list(documents(config(source, 2), Mirror())) == ["one", "two"]


@pytest.mark.parametrize("value", [None, 5, ["x"]])
def test_a_document_that_is_not_text_is_named(tmp_path, value):
    write_lines(tmp_path / "a.jsonl", "one", value)
    source = FilesSource(kind="files", path=str(tmp_path))
    with pytest.raises(DataUnavailable, match=r"a\.jsonl, line 2: `text` is .* must be text"):
        list(documents(config(source), Mirror()))


def test_half_a_surrogate_pair_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud800"}')
    source = FilesSource(kind="files", path=str(tmp_path))
    with pytest.raises(DataUnavailable, match="line 1: `text` is not valid Unicode"):
        list(documents(config(source), Mirror()))


def test_a_synthetic_source_tells_of_its_world():
    source = SyntheticSource(kind="synthetic", world_seed=4)
    assert list(documents(config(source, 2), Mirror())) == [
        World(4).document(0),
        World(4).document(1),
    ]


@pytest.mark.parametrize("key", ["owner/name/part", "owner/name"])
def test_a_mirror_stands_in_for_the_hub(tmp_path, key):
    write_lines(tmp_path / "a.jsonl", "local")
    assert list(documents(config(HUB), Mirror(datasets={key: str(tmp_path)}))) == ["local"]


def test_the_hub_is_streamed_at_the_revision(monkeypatch):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return iter([{"text": "one", "url": "x"}, {"text": "two", "url": "y"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert list(documents(config(HUB), Mirror())) == ["one", "two"]
    assert asked == [
        (("owner/name", "part"), {"split": "train", "streaming": True, "revision": "abc"})
    ]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("no route"),
        datasets.exceptions.DatasetNotFoundError("no route"),
        ValueError("no route\nand more"),
    ],
)
def test_a_hub_failure_names_the_data_set_and_the_mirror_key(monkeypatch, error):
    def load_dataset(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(DataUnavailable, match=r"owner/name.*no route.*`owner/name/part`") as caught:
        list(documents(config(HUB), Mirror()))
    assert "\n" not in str(caught.value)


def test_a_column_missing_on_the_hub_names_those_that_there_are(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: iter([{"body": "x"}]))
    with pytest.raises(
        DataUnavailable, match=r"owner/name/part, row 1 has no field `text`; .*body"
    ):
        list(documents(config(HUB), Mirror()))


def test_fingerprints_tell_sources_apart(tmp_path):
    write_lines(tmp_path / "a.jsonl", "one")
    mirror = Mirror(datasets={"owner/name": str(tmp_path)})
    prints = [
        fingerprint(HUB, Mirror()),
        fingerprint(HUB.model_copy(update={"revision": "def"}), Mirror()),
        fingerprint(HUB, mirror),
        fingerprint(SyntheticSource(kind="synthetic", world_seed=0), mirror),
        fingerprint(SyntheticSource(kind="synthetic", world_seed=1), mirror),
    ]
    assert len({json.dumps(value, sort_keys=True) for value in prints}) == 5
    write_lines(tmp_path / "a.jsonl", "two")
    assert fingerprint(HUB, mirror) != prints[2]
