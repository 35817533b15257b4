"""The multiple-choice tasks, with the prompts of lm-evaluation-harness."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from core.data.hub import hub_rows
from core.data.question import Question
from core.data.record_files import Row, find_files, read_rows, require_fields
from core.data.sources import mirrored
from core.data.synthetic import World
from core.errors import DataUnavailable
from core.schema.experiment import DataConfig, SyntheticSource, TaskName
from core.schema.mirror import Mirror


@dataclass(frozen=True)
class _HubTask:
    """Where the rows of a task are on the hub."""

    dataset: str
    subset: str
    split: str
    fields: tuple[str, ...]


_ARC_FIELDS = ("question", "choices", "answerKey")
_HUB_TASKS = {
    "arc_challenge": _HubTask("allenai/ai2_arc", "ARC-Challenge", "test", _ARC_FIELDS),
    "arc_easy": _HubTask("allenai/ai2_arc", "ARC-Easy", "test", _ARC_FIELDS),
    "hellaswag": _HubTask(
        "Rowan/hellaswag",
        "default",
        "validation",
        ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
    ),
}


def load_task(name: TaskName, data: DataConfig, mirror: Mirror) -> tuple[Question, ...]:
    """All questions of a task, in the order of its data set.

    Raises:
        DataUnavailable: the data set cannot be read or a row is not as it should be; names
            file, row and field.
    """
    if name == "synthetic_world":
        return _world(data).questions()
    parse = _hellaswag_question if name == "hellaswag" else _arc_question
    questions = tuple(parse(row) for row in _rows(_HUB_TASKS[name], mirror))
    if not questions:
        raise DataUnavailable(f"the task {name} has no questions; check its files.")
    return questions


def questions_hash(tasks: Iterable[Iterable[Question]]) -> str:
    """SHA-256 of all questions of all tasks, in order."""
    rows = [[[q.context, q.choices, q.answer] for q in questions] for questions in tasks]
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def _world(data: DataConfig) -> World:
    if not isinstance(data.source, SyntheticSource):
        raise DataUnavailable(
            f"the task synthetic_world asks about the made-up world, but data.source.kind is "
            f"`{data.source.kind}`. Use the task with `synthetic` only."
        )
    return World(data.source.world_seed)


def _rows(task: _HubTask, mirror: Mirror) -> Iterator[Row]:
    local = mirrored(task.dataset, task.subset, mirror)
    if local is not None:
        for path in find_files(local, task.split):
            yield from read_rows(path, task.fields)
        return
    for row in hub_rows(task.dataset, task.subset, task.split, "main"):
        require_fields(row.where, row.fields, task.fields)
        yield row


def _arc_question(row: Row) -> Question:
    choices = row.fields["choices"]
    if not isinstance(choices, dict):
        raise _odd(row, "choices", choices, "an object with `text` and `label`")
    texts = _texts(row, "choices.text", choices.get("text"))
    labels = _texts(row, "choices.label", choices.get("label"))
    if len(labels) != len(texts):
        raise _odd(row, "choices.label", labels, f"{len(texts)} labels, one for each text")
    key = _text(row, "answerKey")
    if key not in labels:
        raise _odd(row, "answerKey", key, f"one of {', '.join(labels)}")
    return Question(
        context=f"Question: {_text(row, 'question')}\nAnswer:",
        choices=tuple(f" {text}" for text in texts),
        answer=labels.index(key),
    )


def _hellaswag_question(row: Row) -> Question:
    context = f"{_text(row, 'ctx_a')} {_text(row, 'ctx_b').capitalize()}"
    endings = _texts(row, "endings", row.fields["endings"])
    label = str(row.fields["label"])
    if label not in {str(index) for index in range(len(endings))}:
        raise _odd(row, "label", label, f"a number from 0 to {len(endings) - 1}")
    return Question(
        context=_clean(f"{_text(row, 'activity_label')}: {context}"),
        choices=tuple(f" {_clean(ending)}" for ending in endings),
        answer=int(label),
    )


def _clean(text: str) -> str:
    """HellaSwag's WikiHow artefacts removed, exactly as the harness does it."""
    text = text.strip().replace(" [title]", ". ")
    text = re.sub(r"\[.*?\]", "", text)
    return text.replace("  ", " ")


def _text(row: Row, field: str) -> str:
    value = row.fields[field]
    if not isinstance(value, str):
        raise _odd(row, field, value, "text")
    return value


def _texts(row: Row, field: str, value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) < 2:
        raise _odd(row, field, value, "a list of at least two texts")
    for text in value:
        if not isinstance(text, str) or not text.strip():
            raise _odd(row, field, text, "a list of texts that are not empty")
    return value


def _odd(row: Row, field: str, value: object, wanted: str) -> DataUnavailable:
    return DataUnavailable(f"{row.where}: `{field}` is {value!r:.80}; it must be {wanted}.")
