"""Planning and carrying out a run without a server."""

import os
import re
import signal

import pytest

from core import errors
from core.errors import InvalidInput
from core.tracks import load_tracks
from runner.errors import FolderInUse, NotFound, OtherRun, RunFailed, RunStopped
from runner.runs.local_run import plan_run, read_assignments, train_here
from runner.runs.run_folder import RunFolder
from tests.runner import examples


def no_parent(submission_id: str):
    raise AssertionError(submission_id)


def plan(target: str = "debug", *assignments: str, seed: int | None = None):
    return plan_run(target, assignments, seed, load_tracks(), no_parent)


def test_a_track_alone_is_its_base_config_with_its_first_seed():
    run = plan("debug")
    assert run.spec.experiment == load_tracks()["debug"].base
    assert run.spec.seed == 1000
    assert run.closed_settings == ()
    assert run.spec.run_id.startswith("debug-")


def test_settings_are_changed_and_closed_ones_are_named():
    run = plan("debug", "model.dropout=0.25", "training.tokens=4096", seed=7)
    assert run.spec.experiment.model.dropout == 0.25
    assert run.spec.experiment.training.tokens == 4096
    assert run.closed_settings == ("training.tokens",)
    assert run.spec.seed == 7


def test_another_config_or_seed_has_another_folder():
    ids = {plan(seed=1).spec.run_id, plan(seed=2).spec.run_id}
    ids.add(plan("debug", "model.dropout=0.5", seed=1).spec.run_id)
    assert len(ids) == 3


def test_a_submission_file_is_a_run_too(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "track: debug\nname: Mine\nauthor: me\nhypothesis: Yes.\n"
        "overrides:\n  model.attention.qk_norm: true\n"
    )
    run = plan(str(file), "model.dropout=0.25")
    assert run.spec.experiment.model.attention.qk_norm
    assert run.spec.experiment.model.dropout == 0.25


def test_what_a_file_builds_on_is_asked_for(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "track: debug\nname: Mine\nauthor: me\nhypothesis: Yes.\nbuilt_on: s_parent\n"
        "overrides:\n  model.dropout: 0.25\n"
    )
    tracks = load_tracks()
    parents = {"s_parent": plan("debug", "model.attention.qk_norm=true").spec.experiment}
    run = plan_run(str(file), (), None, tracks, parents.__getitem__)
    assert run.spec.experiment.model.attention.qk_norm
    assert run.spec.experiment.model.dropout == 0.25


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.dropout", "must look like model.dropout=0.0"),
        ("=1", "must look like"),
        ("model.dropot=1", "Did you mean `model.dropout`"),
        ("model.dropout=[", "not valid YAML"),
        ("model.dropout=2", "must be less than 1"),
    ],
)
def test_wrong_assignments_are_refused(assignment, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        plan("debug", assignment)


def test_values_are_read_as_yaml():
    values = read_assignments(["a.b=1e-3", "c=true", "d=text", "e=3"])
    assert values == {"a.b": 0.001, "c": True, "d": "text", "e": 3}


def test_unknown_tracks_and_files_are_named():
    with pytest.raises(InvalidInput, match=r"there is no track 'debugg'.*Did you mean `debug`"):
        plan("debugg")
    with pytest.raises(NotFound, match=r"no file missing\.yaml"):
        plan("missing.yaml")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def carry_out(folder, tmp_path):
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}

    def run(train, seed: int = 1000):
        environment = examples.environment(tmp_path)
        display = examples.SilentDisplay()
        return train_here(plan(seed=seed), folder, environment, display, train)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_run_leaves_result_metrics_and_plots(carry_out, folder):
    def train(spec, directory, environment, reporter):
        for step in (1, 2, 3):
            reporter.metric(examples.metric(step, 3.0 - step / 10, 3.0 if step == 3 else None))
        return examples.result()

    assert carry_out(train) == examples.result()
    for name in ("loss.png", "learning_rate.png"):
        assert (folder.path / name).read_bytes().startswith(b"\x89PNG")
    assert folder.result() == examples.result()


def test_a_finished_run_is_not_trained_again(carry_out):
    carry_out(lambda *_: examples.result(val_loss=1.5))

    def train(*arguments):
        raise AssertionError("trained twice")

    assert carry_out(train).val_loss == 1.5


def test_ctrl_c_keeps_the_run_for_the_same_command(carry_out, folder):
    def stopped(spec, directory, environment, reporter):
        reporter.metric(examples.metric(1))
        os.kill(os.getpid(), signal.SIGINT)
        assert reporter.should_stop()
        raise errors.Interrupted("stopped after step 1 of 2")

    with pytest.raises(RunStopped, match="The same command goes on from there"):
        carry_out(stopped)

    def resumed(spec, directory, environment, reporter):
        reporter.metric(examples.metric(2))
        return examples.result()

    carry_out(resumed)
    assert [point.step for point in folder.metrics()] == [1, 2]


def test_a_second_ctrl_c_ends_at_once(carry_out):
    def train(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    with pytest.raises(KeyboardInterrupt):
        carry_out(train)


def test_a_failed_run_says_what_to_do(carry_out):
    def train(*arguments):
        raise errors.Diverged("the loss is nan")

    with pytest.raises(RunFailed, match=r"diverged: the loss is nan\. .*lower the learning rates"):
        carry_out(train)


def test_the_advice_starts_a_sentence_of_its_own(carry_out):
    def train(*arguments):
        raise errors.DataUnavailable("There is no such file.")

    with pytest.raises(RunFailed, match=r"no such file\. Check the connection"):
        carry_out(train)


def test_a_folder_in_use_or_of_another_run_is_refused(carry_out, folder):
    def train(*arguments):
        return examples.result()

    with folder.lock(), pytest.raises(FolderInUse):
        carry_out(train)
    carry_out(train)
    with pytest.raises(OtherRun):
        carry_out(train, seed=5)
