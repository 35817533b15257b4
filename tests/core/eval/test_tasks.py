import hashlib
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.question import Question
from core.data.synthetic import World
from core.errors import DataUnavailable
from core.eval.tasks import load_task, questions_hash
from core.schema.experiment import DataConfig, HubSource, SyntheticSource
from core.schema.mirror import Mirror

HUB_DATA = DataConfig(
    source=HubSource(kind="hub", dataset="owner/name"), tokenizer="synthetic", num_documents=10
)
ARC_ROW = {
    "question": "What melts?",
    "choices": {"text": ["ice", "sand", "air", "fire"], "label": ["A", "B", "C", "D"]},
    "answerKey": "A",
}
HELLASWAG_ROW = {
    "activity_label": "Washing hands",
    "ctx_a": "[header] How to wash [title] A girl opens the tap.",
    "ctx_b": "she THEN",
    "endings": [" takes  soap.", "[step] runs.", "sings [title] Loudly", "x"],
    "label": "2",
}


def mirror_of(tmp_path, key: str, *rows: dict) -> Mirror:
    (tmp_path / "test-validation.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return Mirror(datasets={key: str(tmp_path / "test-validation.jsonl")})


def test_arc_is_asked_as_the_harness_does(tmp_path):
    mirror = mirror_of(tmp_path, "allenai/ai2_arc/ARC-Easy", ARC_ROW)
    assert load_task("arc_easy", HUB_DATA, mirror) == (
        Question("Question: What melts?\nAnswer:", (" ice", " sand", " air", " fire"), 0),
    )


@pytest.mark.parametrize(
    ("labels", "key", "answer"),
    [
        (["A", "B", "C"], "C", 2),
        (["1", "2", "3", "4"], "2", 1),
        (["A", "B", "C", "D", "E"], "E", 4),
    ],
)
def test_arc_answers_go_by_label(tmp_path, labels, key, answer):
    choices = {"text": [f"text {label}" for label in labels], "label": labels}
    row = ARC_ROW | {"choices": choices, "answerKey": key}
    mirror = mirror_of(tmp_path, "allenai/ai2_arc/ARC-Challenge", row)
    (question,) = load_task("arc_challenge", HUB_DATA, mirror)
    assert question.answer == answer
    assert question.choices[answer] == f" text {key}"


@pytest.mark.parametrize("key", ["Rowan/hellaswag/default", "Rowan/hellaswag"])
def test_hellaswag_is_cleaned_as_the_harness_does(tmp_path, key):
    # " [title]" becomes ". ", brackets go, one round of double spaces becomes single.
    (question,) = load_task("hellaswag", HUB_DATA, mirror_of(tmp_path, key, HELLASWAG_ROW))
    assert question.context == "Washing hands: How to wash. A girl opens the tap. She then"
    assert question.choices == (" takes soap.", "  runs.", " sings. Loudly", " x")
    assert question.answer == 2


def test_parquet_as_on_the_hub_is_read_by_its_split(tmp_path):
    for split, question in (("test", "asked"), ("train", "not asked")):
        table = pa.Table.from_pylist([ARC_ROW | {"question": question, "id": "x"}])
        pq.write_table(table, tmp_path / f"{split}-00000-of-00001.parquet")
    mirror = Mirror(datasets={"allenai/ai2_arc/ARC-Easy": str(tmp_path)})
    (question,) = load_task("arc_easy", HUB_DATA, mirror)
    assert question.context == "Question: asked\nAnswer:"


def test_the_hub_is_read_where_there_is_no_mirror(monkeypatch):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((*args, kwargs["split"]))
        return iter([ARC_ROW])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(load_task("arc_challenge", HUB_DATA, Mirror())) == 1
    assert asked == [("allenai/ai2_arc", "ARC-Challenge", "test")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answerKey": "E"}, "`answerKey` is 'E'; it must be one of A, B, C, D"),
        ({"answerKey": 1}, "`answerKey` is 1; it must be text"),
        ({"question": None}, "`question` is None; it must be text"),
        ({"choices": ["ice"]}, "`choices` is .*an object with `text` and `label`"),
        ({"choices": {"text": ["ice", "air"], "label": ["A"]}}, "`choices.label` is"),
        ({"choices": {"text": ["ice", "air"], "label": ["A", "B", "C"]}}, ".*2 labels"),
        ({"choices": {"text": ["ice", " "], "label": ["A", "B"]}}, "`choices.text` is ' '"),
    ],
)
def test_an_odd_arc_row_is_named(tmp_path, change, message):
    mirror = mirror_of(tmp_path, "allenai/ai2_arc", ARC_ROW, ARC_ROW | change)
    with pytest.raises(DataUnavailable, match=rf"jsonl, line 2: {message}"):
        load_task("arc_easy", HUB_DATA, mirror)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "4"}, "`label` is '4'; it must be a number from 0 to 3"),
        ({"label": ""}, "`label` is ''; it must be a number"),
        ({"endings": "x"}, "`endings` is 'x'; it must be a list"),
        ({"ctx_b": 3}, "`ctx_b` is 3; it must be text"),
    ],
)
def test_an_odd_hellaswag_row_is_named(tmp_path, change, message):
    mirror = mirror_of(tmp_path, "Rowan/hellaswag", HELLASWAG_ROW | change)
    with pytest.raises(DataUnavailable, match=rf"jsonl, line 1: {message}"):
        load_task("hellaswag", HUB_DATA, mirror)


def test_a_missing_field_and_an_empty_task_are_refused(tmp_path):
    row = {key: value for key, value in ARC_ROW.items() if key != "answerKey"}
    with pytest.raises(DataUnavailable, match="has no field `answerKey`"):
        load_task("arc_easy", HUB_DATA, mirror_of(tmp_path, "allenai/ai2_arc", row))
    with pytest.raises(DataUnavailable, match="arc_easy has no questions"):
        load_task("arc_easy", HUB_DATA, mirror_of(tmp_path, "allenai/ai2_arc"))


def test_the_made_up_world_asks_about_itself_only():
    source = SyntheticSource(kind="synthetic", world_seed=3)
    data = DataConfig(source=source, tokenizer="synthetic", num_documents=10)
    assert load_task("synthetic_world", data, Mirror()) == World(3).questions()
    with pytest.raises(DataUnavailable, match=r"data\.source\.kind is `hub`"):
        load_task("synthetic_world", HUB_DATA, Mirror())


def test_the_hash_of_questions_by_hand_and_in_order():
    first, second = Question("a", (" b", " c"), 1), Question("d", (" e", " f"), 0)
    written = '[[["a",[" b"," c"],1]],[["d",[" e"," f"],0]]]'
    expected = hashlib.sha256(written.encode()).hexdigest()
    assert questions_hash([(first,), (second,)]) == expected
    assert questions_hash([(second,), (first,)]) != expected
    assert questions_hash([(first, second)]) != expected
