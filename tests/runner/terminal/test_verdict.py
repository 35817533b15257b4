"""Verdicts in words."""

import pytest

from core.tracks import load_tracks
from runner.api.answers import Judgement, SubmissionView
from runner.terminal.verdict import compared_sentence, verdict_rows, write_settling
from tests.runner import examples


def rows(verdict: object = None, withdrawn: object = None) -> dict[str, str]:
    view = {
        "submission_id": "s_1",
        "config": load_tracks()["debug"].base,
        "run": examples.status(),
        "verdict": verdict,
        "withdrawn": withdrawn,
    }
    return dict(verdict_rows(SubmissionView.model_validate(view)))


def test_nothing_is_said_before_there_is_a_verdict():
    assert rows() == {}


def test_a_settled_verdict_names_interval_runs_and_the_next_look():
    assert rows(examples.verdict(is_record=True)) == {
        "verdict": "better, record: -0.0123 nats [-0.0200, -0.0046], 3 runs against 5 of the "
        "baseline",
        "next verdict": "at 5 runs",
    }


def test_an_open_verdict_says_what_would_settle_it_and_what_it_was():
    said = rows(
        examples.verdict(
            verdict="unresolved",
            num_runs=1,
            high=0.0054,
            further_runs=2,
            next_look=None,
            refuted="Better after 1 run, unresolved after 3.",
        )
    )
    assert said["verdict"].startswith("unresolved: -0.0123 nats [-0.0200, +0.0054], 1 run")
    assert said["refuted"] == "Better after 1 run, unresolved after 3."
    assert said["to settle it"] == "2 further runs would settle it, were the difference to stay"
    assert "next verdict" not in said


def test_a_withdrawal_is_said_with_or_without_a_verdict():
    assert rows(withdrawn={"reason": "A typo.", "requested_by": "ada"}) == {
        "withdrawn": "by ada: A typo."
    }


@pytest.mark.parametrize(
    ("further_runs", "sentence"),
    [
        (0, ""),
        (1, "1 further run would settle it, were the difference to stay"),
        (None, "80 runs would not settle it"),
    ],
)
def test_how_many_runs_would_settle_it(further_runs, sentence):
    assert write_settling(further_runs) == sentence


def test_a_pair_is_compared_in_a_sentence():
    better = Judgement.model_validate(examples.verdict())
    assert compared_sentence("A", "B", better) == (
        "B is better than A: -0.0123 nats [-0.0200, -0.0046], 3 runs against 5."
    )
    unsettled = examples.verdict(verdict="unresolved", further_runs=None)
    assert compared_sentence("A", "B", Judgement.model_validate(unsettled)) == (
        "Whether B is better or worse than A is unresolved: -0.0123 nats [-0.0200, -0.0046], "
        "3 runs against 5. 80 runs would not settle it."
    )
