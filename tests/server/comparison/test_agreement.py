"""Two submissions question by question."""

from collections.abc import Mapping, Sequence

import pytest
from scipy.stats import binomtest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.result import RunResult, TaskScore
from core.schema.right_bits import pack_right
from core.schema.track import Track
from server.comparison.agreement import NOT_KEPT, TaskAgreement, majority, mcnemar
from server.comparison.compare import compare
from tests.server.factories import claim_one, run_result, send_result, submit

NORM = {"model.attention.qk_norm": "true"}
RELU = {"model.feed_forward.activation": "squared_relu"}


def answered(seed: int, right: str | None, num_questions: int = 10) -> RunResult:
    """A result with a 1 for each question that was right; None for one that kept nothing."""
    bits = [digit == "1" for digit in right or ""]
    share = sum(bits) / len(bits) if bits else 0.5
    score = TaskScore(
        name="synthetic_world",
        num_questions=num_questions,
        acc=0.5,
        acc_norm=share,
        right=pack_right(bits),
    )
    return run_result(seed).model_copy(update={"tasks": (score,)})


def measured(
    client: TestClient, overrides: Mapping[str, object], runs: Sequence[str | None]
) -> str:
    """A submission with one run of each answers; the id of the first."""
    ids = []
    for right in runs:
        ids.append(submit(client, "One", overrides).submission_id)
        offer = claim_one(client)
        assert send_result(client, offer, answered(offer.run.seed, right)).status_code == 204
    return ids[0]


@pytest.fixture
def agreement(client: TestClient, session: Session, tracks: Mapping[str, Track]):
    def read(a: Sequence[str | None], b: Sequence[str | None]) -> TaskAgreement:
        ids = [measured(client, NORM, a), measured(client, RELU, b)]
        (found,) = compare(session, tracks, ids).agreement
        return found

    return read


def test_questions_are_counted_by_who_got_them_right(agreement) -> None:
    found = agreement(["1111100000"], ["1110011110"])
    counts = (found.both, found.only_a, found.only_b, found.neither)
    assert counts == (3, 2, 4, 1)
    assert (found.num_questions, found.seeds, found.notice) == (10, (1000,), "")
    # Of six, at most two on one side: 2 × (1 + 6 + 15) / 64.
    assert found.p_value == pytest.approx(0.6875)


def test_most_of_three_seeds_have_to_be_right(agreement) -> None:
    a = ["1110000000", "1100000000", "0110000000"]
    b = ["0000000001", "0000000001", "1111111110"]
    found = agreement(a, b)
    # Most of A: 1110000000; most of B: 0000000001.
    assert (found.both, found.only_a, found.only_b, found.neither) == (0, 3, 1, 6)
    assert found.seeds == (1000, 1001, 1002)


def test_of_two_seeds_in_common_the_first_counts(agreement) -> None:
    found = agreement(["1000000000", "1111111111"], ["0000000000", "1111111111", "0000000000"])
    assert found.seeds == (1000,)
    assert (found.only_a, found.neither) == (1, 9)


def test_seeds_without_answers_are_passed_over(agreement) -> None:
    found = agreement([None, "1000000000"], ["0000000000", "0000000000"])
    assert found.seeds == (1001,)
    assert found.only_a == 1


def test_old_results_are_said_to_have_kept_nothing(agreement) -> None:
    found = agreement([None], ["1111111111"])
    assert (found.notice, found.seeds, found.both, found.neither) == (NOT_KEPT, (), 0, 0)


def test_an_experiment_is_not_held_against_itself(
    client: TestClient, session: Session, tracks: Mapping[str, Track]
) -> None:
    one = measured(client, NORM, ["1111100000"])
    assert compare(session, tracks, [one, one]).agreement == ()


def test_answers_that_contradict_their_score_are_refused(client: TestClient) -> None:
    submit(client)
    offer = claim_one(client)
    result = answered(offer.run.seed, "1111100000")
    score = result.tasks[0].model_copy(update={"acc_norm": 0.9})
    refused = send_result(client, offer, result.model_copy(update={"tasks": (score,)}))
    assert refused.status_code == 422
    assert "right has 5 of 10 questions, but acc_norm is 0.9" in refused.json()["message"]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 9])
def test_majority_is_that_of_counting_each_column(count: int) -> None:
    masks = [(index * 2_654_435_761 + 12_345) ** 3 % 2**64 for index in range(1, count + 1)]
    columns = (sum(mask >> bit & 1 for mask in masks) for bit in range(64))
    expected = sum(1 << bit for bit, votes in enumerate(columns) if votes > count / 2)
    assert majority(masks, 64) == expected


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (5, 5), (0, 6), (3, 14), (400, 350)])
def test_mcnemar_is_scipys_two_sided_binomial_test(only_a: int, only_b: int) -> None:
    count = only_a + only_b
    expected = binomtest(only_a, count).pvalue if count else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-9)
