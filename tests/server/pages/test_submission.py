import re

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.result import Timing
from core.tracks import load_tracks
from server.curves import CurveMetric
from server.errors import NotFound
from server.pages.submission import SubmissionPage, run_time, submission_page
from server.settings import ServerSettings
from server.tables import utc_now
from tests.server.boards import measure_baseline
from tests.server.factories import (
    claim_one,
    points,
    run_result,
    send_log,
    send_points,
    submit,
    submit_and_finish,
    with_load,
)

RELU = {"model.feed_forward.activation": "squared_relu"}


def page_of(session: Session, submission_id: str) -> SubmissionPage:
    settings = ServerSettings(database_url="sqlite:///unused.sqlite")
    return submission_page(session, load_tracks(), settings, submission_id, utc_now())


def test_phases_lie_end_to_end_on_a_bar_of_100() -> None:
    timing = Timing(data_seconds=1.0, compile_seconds=2.0, train_seconds=4.0, eval_seconds=1.0)
    time = run_time(run_result().model_copy(update={"timing": timing}))
    assert time.total_seconds == 8.0
    assert [(phase.name, phase.start, phase.width) for phase in time.phases] == [
        ("data", 0.0, 12.5),
        ("compile", 12.5, 25.0),
        ("train", 37.5, 50.0),
        ("evaluate", 87.5, 12.5),
    ]


def test_a_run_that_took_no_time_has_an_empty_bar() -> None:
    timing = Timing(data_seconds=0.0, compile_seconds=0.0, train_seconds=0.0, eval_seconds=0.0)
    time = run_time(run_result().model_copy(update={"timing": timing}))
    assert [phase.width for phase in time.phases] == [0.0, 0.0, 0.0, 0.0]


def test_result_is_set_beside_the_baseline_under_the_same_key(
    client: TestClient, session: Session
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0, validation="b")
    submission = submit_and_finish(client, "Other", RELU, 1.5, validation="b").submission_id
    submit_and_finish(client, "Other", RELU, 9.0, validation="e")
    page = page_of(session, submission)
    by_loss = {keyed.result.val_loss: keyed for keyed in page.results}
    assert by_loss[1.5].delta == -0.5
    assert by_loss[9.0].delta is None
    assert by_loss[9.0].baseline is None


def test_the_baseline_has_no_difference_to_itself(client: TestClient, session: Session) -> None:
    page = page_of(session, submit_and_finish(client, "Baseline").submission_id)
    assert page.is_baseline
    assert page.results[0].delta is None
    assert page.changes == ()
    assert page.baseline_submission_id is None


def test_every_run_is_there_and_the_other_submission_is_named(
    client: TestClient, session: Session
) -> None:
    first = submit_and_finish(client, "First", RELU, 2.0).submission_id
    second = submit(client, "Second", RELU).submission_id
    page = page_of(session, first)
    assert [run.seed for run in page.runs] == [1000, 1001]
    assert [other.id for other in page.same_experiment] == [second]
    # Each submission shows the state of the run that it asked for.
    assert page.state.seed == 1000
    assert page_of(session, second).state.seed == 1001


def test_what_it_is_built_on_is_named(client: TestClient, session: Session) -> None:
    parent = submit(client, "Parent", RELU).submission_id
    child = submit(client, "Child", {"model.dropout": 0.1}, built_on=parent).submission_id
    page = page_of(session, child)
    assert page.built_on is not None
    assert page.built_on.name == "Parent"
    # The diff is against the baseline, so it holds the parent's change too.
    assert [change.path for change in page.changes] == [
        "model.dropout",
        "model.feed_forward.activation",
    ]


def test_validation_table_has_a_column_for_each_seed_with_losses(
    client: TestClient, session: Session
) -> None:
    first = submit(client, "First", RELU).submission_id
    send_points(client, claim_one(client), points(steps=(1, 4), start=8.0))
    submit(client, "Second", RELU)
    send_points(client, claim_one(client), points(steps=(4, 16), start=8.0))
    table = page_of(session, first).validation
    assert table.seeds == (1000, 1001)
    assert table.rows == ((1, (8.1, None)), (4, (4.1, 4.1)), (16, (None, 2.1)))


def test_the_page_has_a_figure_for_each_curve_of_expert_load(client: TestClient) -> None:
    submission = submit(client).submission_id
    send_points(client, claim_one(client), with_load(points()))
    html = client.get(f"/submissions/{submission}").text
    shown = {
        metric
        for metrics in re.findall(r'<figure data-metrics="([^"]+)"', html)
        for metric in metrics.split()
    }
    # Each that was measured has a place, and charts.js hides the others.
    [run] = client.get(f"/api/v1/submissions/{submission}/curves").json()["runs"]
    assert {series["metric"] for series in run["series"]} == shown == set(CurveMetric)
    captions = dict(re.findall(r'data-metrics="(\w+)"[^>]*><figcaption>([^<]+) <', html))
    assert captions["expert_max_violation"] == "Expert imbalance"
    assert captions["worst_expert_max_violation"] == "Worst layer"
    assert captions["idle_expert_share"] == "Idle experts"


def test_log_ends_with_the_last_hundred_lines(client: TestClient, session: Session) -> None:
    submission = submit(client).submission_id
    send_log(client, claim_one(client), "".join(f"line {n}\n" for n in range(150)))
    log = page_of(session, submission).log
    assert (len(log), log[0], log[-1]) == (100, "line 50", "line 149")


def test_unknown_submission_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="s_nothing"):
        page_of(session, "s_nothing")


def test_nearest_experiments_are_named_but_not_the_page_itself(
    client: TestClient, session: Session
) -> None:
    submit_and_finish(client, "Baseline", val_loss=2.0)
    norm = {"model.attention.qk_norm": True}
    other = submit_and_finish(client, "Far", {"model.dropout": 0.1} | RELU, 2.5).submission_id
    submission = submit_and_finish(client, "Mine", norm | RELU, 1.5).submission_id
    submit_and_finish(client, "Near", RELU, 2.25)
    near, far = page_of(session, submission).nearest
    assert (near.name, near.delta) == ("Near", 0.25)
    assert [(change.path, change.before, change.after) for change in near.changes] == [
        ("model.attention.qk_norm", True, False)
    ]
    assert (far.submission_id, len(far.changes)) == (other, 2)
    html = client.get(f"/submissions/{submission}").text
    section = html.split('id="nearest"')[1].split("</section>")[0]
    assert f'href="/submissions/{other}"' in section
    assert "attention.qk_norm</code></a> <code>true → false" in section
    assert submission not in section


def withdraw(client: TestClient, submission_id: str) -> None:
    body = {"author": "ada", "reason": "A typing error."}
    response = client.post(f"/api/v1/submissions/{submission_id}/withdraw", json=body)
    assert response.status_code == 200


def test_a_withdrawn_submission_says_so_even_where_the_experiment_counts(
    client: TestClient, session: Session
) -> None:
    mine = submit(client, "Mine", RELU, author="ada").submission_id
    theirs = submit(client, "Theirs", RELU, author="grace").submission_id
    withdraw(client, mine)
    page = page_of(session, mine)
    assert page.withdrawn is not None
    assert page.withdrawn.reason == "A typing error."
    assert page.still_counts
    assert "its results go on counting" in client.get(f"/submissions/{mine}").text
    assert page_of(session, theirs).withdrawn is None


def test_what_nobody_stands_by_counts_no_longer(client: TestClient, session: Session) -> None:
    mine = submit(client, "Mine", RELU, author="ada").submission_id
    withdraw(client, mine)
    assert not page_of(session, mine).still_counts
    html = client.get(f"/submissions/{mine}").text
    assert '<span class="tag">withdrawn</span>' in html
    assert "its results go on counting" not in html


def test_a_rerun_names_who_asked(client: TestClient, session: Session) -> None:
    mine = submit_and_finish(client, "Mine", RELU).submission_id
    client.post(f"/api/v1/submissions/{mine}/rerun", json={"author": "margaret"})
    # One run is measured; the next verdict is taken at three.
    asked = [(run.seed, run.requested_by) for run in page_of(session, mine).runs]
    assert asked == [(1000, "ada"), (1001, "margaret"), (1002, "margaret")]
    assert client.get(f"/submissions/{mine}").text.count("rerun for margaret") == 2
    assert client.get("/tracks/debug").text.count("rerun for margaret") == 2


def test_the_losses_behind_a_verdict_are_points(client: TestClient, session: Session) -> None:
    baseline = measure_baseline(client)
    mine = submit_and_finish(client, "Mine", RELU, 1.95).submission_id
    submit_and_finish(client, "Again", RELU, 1.9)
    [keyed] = page_of(session, mine).results
    assert keyed.strip is not None
    assert keyed.verdict is not None
    # One run is counted until there are three.
    assert [point.is_counted for point in keyed.strip.own.points] == [True, False]
    assert keyed.strip.own.mean - keyed.strip.baseline.mean == pytest.approx(keyed.verdict.delta)
    html = client.get(f"/submissions/{mine}").text
    figure = html.split('<figure class="strip">')[1].split("</figure>")[0]
    assert figure.count("<circle") == 7
    assert "seed 1001: 1.9000, not counted yet" in figure
    assert "Baseline: 5 runs, mean 2.0000." in figure
    assert f'href="/submissions/{baseline}#runs"' in figure
    assert 'class="strip"' not in client.get(f"/submissions/{baseline}").text


def test_ledger_and_the_command_that_trains_again_are_on_the_page(
    client: TestClient, session: Session
) -> None:
    receipt = submit_and_finish(client, "Mine", RELU, 1.95)
    waiting = submit(client, "Waits", RELU)
    told = [
        (line.kind.value, dict(line.told))
        for line in page_of(session, receipt.submission_id).ledger
    ]
    assert ("job", "succeeded") in [(kind, contents.get("state")) for kind, contents in told]
    html = client.get(f"/submissions/{receipt.submission_id}").text
    assert f"runner reproduce {receipt.run_id}<" in html
    assert f"runner reproduce {waiting.run_id}" not in html
    assert f'href="/api/v1/submissions/{receipt.submission_id}/ledger"' in html
