"""A run of the server trained again here: by real training, against a server of answers."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from typer.testing import CliRunner

from core.schema.job import JobState, RunStatus
from core.schema.overrides import resolve
from core.train.reporter import SilentReporter
from core.train.run import run
from runner import authoring
from runner.api.client import AuthorClient
from runner.api.transport import Transport
from runner.cli import app
from runner.exit_codes import ExitCode
from tests.runner import examples

SMALL = {
    "model.hidden_size": 32,
    "model.feed_forward.hidden_size": 32,
    "training.tokens": 10 * 2 * 64,
    "training.batch_size": 2,
    "training.sequence_length": 64,
    "data.num_documents": 200,
    "evaluation.sequence_length": 64,
    "evaluation.validation_rows": 8,
    "evaluation.tasks": [],
}


@pytest.fixture(scope="module")
def spec():
    spec = examples.spec()
    return spec.model_copy(update={"experiment": resolve(spec.experiment, SMALL)})


@pytest.fixture(scope="module")
def theirs(spec, tmp_path_factory):
    """The run as a worker would have it."""
    folder = tmp_path_factory.mktemp("theirs")
    return run(spec, folder, examples.environment(folder / "cache"), SilentReporter())


def status(spec, result, state=JobState.SUCCEEDED) -> RunStatus:
    return RunStatus(
        run_id=spec.run_id,
        submission_id="s_1",
        name="Mine",
        track=spec.track,
        seed=spec.seed,
        state=state,
        attempt=1,
        jobs_ahead=None,
        phase=None,
        completed=0,
        total=0,
        latest=None,
        result=result,
        cost_usd=None,
        failure=None,
        failure_message="",
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
        url="http://server/submissions/s_1",
    )


@pytest.fixture
def reproduce(spec, tmp_path, monkeypatch):
    """The command against a server that has one run."""
    monkeypatch.setenv("FIVE_DOLLAR_CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setenv("FIVE_DOLLAR_DIRECTORY", str(tmp_path / "runs"))

    def call(answer: RunStatus, *options: str):
        def handle(request: httpx.Request) -> httpx.Response:
            message = spec if request.url.path.endswith("/spec") else answer
            return httpx.Response(200, text=message.model_dump_json())

        transport = httpx.MockTransport(handle)
        monkeypatch.setattr(
            authoring,
            "open_client",
            lambda _: AuthorClient(Transport("http://server", 0.0, transport)),
        )
        return CliRunner().invoke(app, ["reproduce", spec.run_id, "--device", "cpu", *options])

    return call


def test_on_the_same_machine_every_difference_is_zero(reproduce, spec, theirs, tmp_path):
    ended = reproduce(status(spec, theirs), "--json")
    assert ended.exit_code == ExitCode.OK, ended.stderr
    answer = json.loads(ended.stdout)
    assert (answer["same_data"], answer["data"], answer["circumstances"]) == (True, [], [])
    deltas = {figure["label"]: figure["deltas"][1] for figure in answer["figures"]}
    del deltas["Peak memory"]
    assert {label for label, delta in deltas.items() if delta is None} == {
        "Tokens per second",
        "Training time",
    }
    assert {delta for delta in deltas.values() if delta is not None} == {0.0}
    assert (tmp_path / "runs" / "local" / "reproduce-r_1" / "result.json").exists()


def test_what_differs_is_shown_to_the_last_digit(reproduce, spec, theirs):
    provenance = theirs.provenance.model_copy(update={"device": "NVIDIA T4", "code_commit": "old"})
    other = theirs.model_copy(update={"val_loss": theirs.val_loss + 1e-6, "provenance": provenance})
    ended = reproduce(status(spec, other))
    assert ended.exit_code == ExitCode.OK, ended.stderr
    assert "The data are the same" in ended.stdout
    assert "NVIDIA T4" in ended.stdout
    assert "old" in ended.stdout
    assert "-1e-06" in ended.stdout


def test_other_data_are_named_before_any_training(reproduce, spec, theirs, tmp_path):
    data = theirs.provenance.data.model_copy(
        update={"tokenizer_hash": "0" * 64, "validation_bytes": 1}
    )
    provenance = theirs.provenance.model_copy(update={"data": data})
    other = theirs.model_copy(update={"provenance": provenance})
    ended = reproduce(status(spec, other))
    assert ended.exit_code == ExitCode.CONFLICT
    assert "tokenizer and validation text differ" in ended.stderr
    assert "The data differ" in ended.stdout
    assert "training text" not in ended.stdout
    assert not (tmp_path / "runs" / "local" / "reproduce-r_1" / "result.json").exists()


def test_another_evaluation_protocol_is_another_run(reproduce, spec, theirs):
    answer = status(spec, theirs).model_copy(update={"comparability_key": "0" * 16})
    ended = reproduce(answer)
    assert ended.exit_code == ExitCode.CONFLICT
    assert "the evaluation protocol" in ended.stderr.replace("\n", " ")


def test_a_run_without_a_result_cannot_be_reproduced(reproduce, spec):
    ended = reproduce(status(spec, None, JobState.FAILED))
    assert ended.exit_code == ExitCode.NOT_FOUND
    assert "no result to reproduce: it is failed" in ended.stderr
