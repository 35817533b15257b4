import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.overrides import Change
from core.schema.track import Track
from server.idle import lineage as lineage_module
from server.idle.lineage import Step, lineage
from server.submissions import find_submission
from tests.server.boards import NORM, RELU
from tests.server.factories import submit
from tests.server.idle.gains import DROPOUT


def chain(client: TestClient, session: Session, track: Track) -> tuple[Step, ...]:
    """The lineage of the third of three submissions, each built on the one before."""
    first = submit(client, "First", NORM).submission_id
    second = submit(client, "Second", RELU, author="grace", built_on=first).submission_id
    third = submit(client, "Third", DROPOUT, built_on=second).submission_id
    return lineage(session, find_submission(session, third), track)


def test_a_chain_names_each_step_and_what_it_changed(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    steps = chain(client, session, tracks["debug"])
    assert [(step.name, step.author, step.changes) for step in steps] == [
        ("First", "ada", (Change(path="model.attention.qk_norm", before=False, after=True),)),
        (
            "Second",
            "grace",
            (Change(path="model.feed_forward.activation", before="silu", after="squared_relu"),),
        ),
        ("Third", "ada", (Change(path="model.dropout", before=0.0, after=0.1),)),
    ]


def test_a_long_chain_shows_its_latest_steps(
    client: TestClient, session: Session, tracks: dict[str, Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage_module, "MAX_STEPS", 2)
    assert [step.name for step in chain(client, session, tracks["debug"])] == ["Second", "Third"]


def test_what_is_built_on_nothing_has_no_lineage(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    submission_id = submit(client, "Alone", NORM).submission_id
    assert lineage(session, find_submission(session, submission_id), tracks["debug"]) == ()
    assert "Lineage" not in client.get(f"/submissions/{submission_id}").text
