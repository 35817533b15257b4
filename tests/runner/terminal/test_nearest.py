"""The table of nearest experiments, and what stands above it."""

import io

import pytest
from rich.console import Console

from runner.api.answers import NearestExperiments
from runner.nearest import NearestAnswer
from runner.terminal.nearest import equal_sentence, print_nearest

SERVER = "http://server"
WORSE = {
    "verdict": "worse",
    "delta": 0.0312,
    "low": 0.0101,
    "high": 0.0523,
    "num_runs": 1,
    "num_baseline_runs": 5,
    "further_runs": 0,
    "next_look": 3,
    "is_record": False,
    "refuted": "",
}


def outcome(**changes: object) -> dict:
    values: dict[str, object] = {
        "submission_id": "s_1",
        "name": "First",
        "author": "ada",
        "num_runs": 1,
        "delta": 0.0312,
        "verdict": WORSE,
        "withdrawn": None,
    }
    return values | changes


def near(**changes: object) -> dict:
    change = {"path": "model.dropout", "before": 0.1, "after": 0.25}
    return outcome(changes=[change], **changes)


def found(equal: dict | None, *nearest: dict) -> NearestExperiments:
    return NearestExperiments.model_validate({"equal": equal, "nearest": nearest})


@pytest.fixture
def printed():
    stream = io.StringIO()
    console = Console(file=stream, width=160)

    def print_answer(answer: NearestAnswer) -> str:
        print_nearest(console, answer, SERVER)
        return stream.getvalue()

    return print_answer


def test_a_row_says_what_differs_and_what_it_gave(printed):
    withdrawn = {"reason": "wrong", "requested_by": "bob"}
    rows = [
        near(name="[red]Bold"),
        near(name="New", delta=None, verdict=None),
        near(name="Gone", withdrawn=withdrawn),
    ]
    bold, new, gone = (
        line for line in printed(NearestAnswer(found(None, *rows))).splitlines() if "s_1" in line
    )
    for cell in ("[red]Bold", "model.dropout 0.1 → 0.25", "+0.0312", "[+0.0101, +0.0523]", "worse"):
        assert cell in bold
    assert "not judged yet" in new
    assert "withdrawn" in gone
    assert "worse" not in gone


def test_a_narrow_terminal_keeps_the_id_the_difference_and_the_verdict_whole():
    stream = io.StringIO()
    changes = [{"path": "optimizer.muon.learning_rate", "before": 0.03, "after": 0.035}]
    answer = NearestAnswer(found(None, near(submission_id="s_4k7m2q5xwp") | {"changes": changes}))
    print_nearest(Console(file=stream, width=80), answer, SERVER)
    text = stream.getvalue()
    for whole in ("s_4k7m2q5xwp", "optimizer.muon.learning_rate", "+0.0312", "worse"):
        assert whole in text
    assert "ada" not in text
    assert len(text.splitlines()) < 10


def test_an_equal_experiment_is_said_to_get_a_seed_with_its_page(printed):
    equal = found(outcome(num_runs=2)).equal
    assert equal is not None
    sentence = equal_sentence(equal, SERVER)
    assert sentence == (
        "Already measured: First by ada, 2 seeds, +0.0312 nats against the baseline, worse. "
        "Submitting this adds a seed. http://server/submissions/s_1"
    )
    assert sentence in printed(NearestAnswer(found(outcome(num_runs=2)))).replace("\n", " ")


def test_an_equal_experiment_without_a_result_is_said_to_have_none():
    equal = found(outcome(num_runs=0, delta=None, verdict=None, submission_id=None)).equal
    assert equal is not None
    assert equal_sentence(equal, SERVER) == (
        "Already submitted: First by ada, without a result on this board. "
        "Submitting this adds a seed."
    )


def test_no_answer_is_one_line(printed):
    notice = "the server at http://server was not asked: it cannot be reached"
    assert printed(NearestAnswer(None, notice=notice)) == f"nearest measured: {notice}\n"


def test_an_empty_track_is_one_line(printed):
    text = printed(NearestAnswer(found(None)))
    assert text == "nearest measured: nothing was measured on this track yet\n"
