"""What a worker remembers of the baseline's speed, and when it forgets."""

import pytest

from core.schema.overrides import resolve
from runner.work import device
from runner.work.anchors import IDLE_SECONDS, Anchors, current_machine_state
from runner.work.device import device_state
from tests.runner import examples


class Machine:
    """A clock and a machine that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.state = "one GPU"
        self.anchors = Anchors("auto", machine_state=lambda _: self.state, clock=lambda: self.now)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def run(**changes):
    spec = examples.spec()
    return spec.model_copy(update={"anchor": spec.experiment} | changes)


def test_one_anchor_serves_every_run_of_its_track(machine):
    assert machine.anchors.find(run()) is None
    machine.anchors.keep(run(), examples.anchor())
    other = run(run_id="r_2", seed=5, experiment=resolve(run().experiment, {"model.dropout": 0.5}))
    assert machine.anchors.find(other) == (examples.anchor(),)


@pytest.mark.parametrize(
    "changes",
    [
        {"track": "gpu_24gb"},
        {"track_version": 2},
        {"anchor": resolve(run().experiment, {"model.dropout": 0.5})},
        {"max_devices": 2},
    ],
)
def test_another_baseline_has_another_anchor(machine, changes):
    machine.anchors.keep(run(), examples.anchor())
    assert machine.anchors.find(run(**changes)) is None


def test_a_changed_machine_is_measured_anew(machine):
    machine.anchors.keep(run(), examples.anchor())
    machine.state = "another driver"
    assert machine.anchors.find(run()) is None


def test_a_session_ends_after_an_hour_without_a_job(machine):
    machine.anchors.keep(run(), examples.anchor())
    # A job may take as long as it likes.
    machine.now += 10 * IDLE_SECONDS
    machine.anchors.job_ended()
    machine.now += IDLE_SECONDS
    assert machine.anchors.find(run()) == (examples.anchor(),)
    machine.now += 1.0
    assert machine.anchors.find(run()) is None


def test_the_state_of_a_machine_names_its_gpus_driver_packages_and_code(monkeypatch):
    monkeypatch.setattr(device, "ask_gpus", lambda query: f"answer to {query}")
    monkeypatch.setenv("FIVE_DOLLAR_COMMIT", "abc")
    state = current_machine_state("auto")
    assert "answer to --query-gpu=name,uuid,driver_version" in state
    assert "torch 2." in state
    assert state.endswith("abc")
    assert "answer" not in device_state("cpu")
