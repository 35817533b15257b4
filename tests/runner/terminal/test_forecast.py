from core.schema.forecast import Forecast
from core.schema.job import SubmissionReceipt
from runner.terminal.forecast import forecast_rows
from runner.terminal.report import receipt_rows, status_rows
from tests.runner import examples
from tests.runner.terminal.test_report import ESTIMATE

VALUES = {
    "as_of": "2026-11-25T12:00:00Z",
    "position": 3,
    "starts_at": "2026-11-25T12:00:40Z",
    "ends_at": "2026-11-25T14:05:00+01:00",
    "basis": "estimated",
    "note": "",
}


def rows(**changes: object) -> dict[str, str]:
    return dict(forecast_rows(Forecast.model_validate({**VALUES, **changes})))


def test_a_waiting_job_shows_place_start_and_end_and_what_they_rest_on():
    assert rows() == {
        "place in the queue": "3",
        "should start": "in about 40 s, 2026-11-25 12:00 UTC",
        "should end": "in about 1 h 5 min, 2026-11-25 13:05 UTC, by an estimate",
    }
    assert rows(basis="measured")["should end"].endswith("UTC, by how long runs took")


def test_what_starts_at_once_starts_now():
    assert rows(starts_at="2026-11-25T12:00:00Z")["should start"] == "now"


def test_a_running_job_shows_its_end_alone():
    shown = rows(position=None, starts_at="2026-11-25T11:00:00Z")
    assert list(shown) == ["should end"]


def test_a_missing_time_is_explained():
    shown = rows(starts_at=None, ends_at=None, basis=None, note="No worker is there.")
    assert shown == {"place in the queue": "3", "why no time": "No worker is there."}


def test_an_alarm_is_said():
    shown = rows(starts_at=None, ends_at=None, is_alarm=True)
    assert shown["alarm"] == "no worker that may take it has been seen for a long time"


def test_submit_and_status_show_the_forecast():
    receipt = SubmissionReceipt(
        submission_id="s_1",
        run_id="r_1",
        seed=1000,
        experiment_hash="0",
        jobs_ahead=2,
        forecast=Forecast.model_validate(VALUES),
        url="http://server",
    )
    assert dict(receipt_rows(receipt, ESTIMATE))["place in the queue"] == "3"
    status = examples.status(jobs_ahead=2, forecast=VALUES)
    assert dict(status_rows(status))["should start"].startswith("in about 40 s")


def test_a_run_that_is_over_has_none():
    assert list(forecast_rows(None)) == []
