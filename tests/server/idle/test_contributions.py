import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.result import FailureKind
from server.idle.contributions import Contribution, Effect, submission_contributions
from server.submissions import find_submission
from tests.server.boards import NORM, RELU
from tests.server.factories import claim, finish, register, send_failure
from tests.server.idle.gains import DROPOUT, WITHOUT, confirm, work

# The baseline's five runs have the variance 6.25e-5, the gain's three 2.5e-5: pooled over 4 and 2
# degrees (2.5e-4 + 5e-5) / 6 = 5e-5, a deviation of 0.0070711. Both sides take it, so there are 6
# degrees, and tables give 5.2076 for t of 99.8 %: 5.2076 × 0.0070711 × √(1 + 1/3) = 0.04252.
HALF_WIDTH = 0.04252


def settings_of(session: Session, submission_id: str) -> dict[str, Contribution]:
    session.rollback()
    [found] = submission_contributions(session, find_submission(session, submission_id))
    return {one.path: one for one in found.settings}


def test_a_setting_helps_if_the_loss_without_it_is_surely_higher(
    client: TestClient, session: Session
) -> None:
    submission_id = confirm(client, NORM | DROPOUT | RELU)
    work(client, WITHOUT, 3)
    found = settings_of(session, submission_id)
    # The gain's mean is 1.5; without the settings it is 1.52, 1.4 and 1.7.
    expected = {
        "model.attention.qk_norm": (Effect.UNKNOWN, 0.02),
        "model.dropout": (Effect.HURTS, -0.1),
        "model.feed_forward.activation": (Effect.HELPS, 0.2),
    }
    assert list(found) == list(expected)
    for path, (effect, delta) in expected.items():
        assert found[path].effect is effect
        assert found[path].delta == pytest.approx(delta)
        assert found[path].low == pytest.approx(delta - HALF_WIDTH, abs=1e-5)
        assert found[path].high == pytest.approx(delta + HALF_WIDTH, abs=1e-5)
        assert (found[path].num_runs, found[path].note) == (1, "")


def test_what_has_no_result_says_why(client: TestClient, session: Session) -> None:
    submission_id = confirm(client, NORM | DROPOUT)
    first, second = settings_of(session, submission_id).values()
    assert first.effect is second.effect is Effect.UNKNOWN
    assert first.note == second.note == "The run without it waits for an idle worker."
    offer = claim(client, register(client))
    assert offer is not None
    notes = {one.note for one in settings_of(session, submission_id).values()}
    assert "The run without it is under way." in notes
    send_failure(client, offer, FailureKind.DIVERGED)
    notes = {one.note for one in settings_of(session, submission_id).values()}
    assert "The run without it ended without a result: diverged." in notes


def test_losses_on_other_data_are_not_compared(client: TestClient, session: Session) -> None:
    submission_id = confirm(client, NORM | DROPOUT)
    offer = claim(client, register(client))
    assert offer is not None
    finish(client, offer, 1.7, validation="e")
    found = settings_of(session, submission_id)
    [elsewhere] = [one for one in found.values() if "another comparability key" in one.note]
    assert elsewhere.delta is None


def test_the_page_of_a_submission_shows_what_each_setting_contributes(client: TestClient) -> None:
    submission_id = confirm(client, NORM | DROPOUT | RELU)
    work(client, WITHOUT, 3)
    page = client.get(f"/submissions/{submission_id}").text
    assert "What each setting contributes" in page
    assert "+0.1575 to +0.2425" in page
    assert "against 3 runs with all settings" in page


def test_an_experiment_that_was_not_taken_apart_has_no_contributions(
    client: TestClient, session: Session
) -> None:
    submission_id = confirm(client, NORM)
    submission = find_submission(session, submission_id)
    assert submission_contributions(session, submission) == ()
    assert "What each setting contributes" not in client.get(f"/submissions/{submission_id}").text
