"""Two processes on the processor against one: `several_processes` is what they run."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.errors import InvalidInput
from core.schema.overrides import resolve
from core.train.checkpoint import Checkpoint
from core.train.distributed import Processes, check_batches
from tests.core.train import several_processes
from tests.core.train.several_processes import BASE, NUM_STEPS, RICH, build, train, trained

ROOT = Path(__file__).resolve().parents[3]
SHARDINGS = ("none", "full")


@pytest.fixture(scope="module")
def alone() -> dict:
    return {"base": trained(BASE), "rich": trained(RICH)}


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("together")
    torch.save(alone, folder / "alone.pt")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [sys.executable, *command, several_processes.__file__, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**several_processes.ENVIRONMENT, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return torch.load(folder / "results.pt")


def assert_equal_runs(one: dict, other: dict) -> None:
    assert one["losses"].keys() == other["losses"].keys()
    assert one["losses"] == pytest.approx(other["losses"], abs=1e-5)
    assert one["norms"] == pytest.approx(other["norms"], abs=1e-4)
    assert one["loads"] == pytest.approx(other["loads"], abs=1e-6)
    assert one["val_loss"] == pytest.approx(other["val_loss"], abs=1e-5)
    assert one["num_correct"] == other["num_correct"]
    torch.testing.assert_close(one["weights"], other["weights"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("sharding", SHARDINGS)
@pytest.mark.parametrize("experiment", ["base", "rich"])
def test_two_processes_learn_what_one_learns(alone, together, sharding, experiment):
    run = together[sharding, experiment]
    assert len(run["losses"]) == NUM_STEPS
    assert run["losses"][NUM_STEPS] < run["losses"][1] - 1.0
    assert_equal_runs(run, alone[experiment])


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_a_checkpoint_does_not_depend_on_the_number_of_processes(alone, together, sharding):
    for experiment in ("base", "rich"):
        step, weights, state = together[sharding, experiment]["half"]
        one_step, one_weights, one_state = alone[experiment]["half"]
        assert step == one_step == NUM_STEPS // 2
        torch.testing.assert_close(weights, one_weights, rtol=0, atol=1e-4)
        for part in ("muon", "adamw", "trained_weights"):
            torch.testing.assert_close(state[part], one_state[part], rtol=0, atol=1e-4)
        assert len(state["random_of_others"]) == 1


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_two_processes_go_on_from_the_checkpoint_of_one(alone, together, sharding):
    run = together[sharding, "resumed"]
    assert min(run["losses"]) == NUM_STEPS // 2 + 1
    later = {step: loss for step, loss in alone["rich"]["losses"].items() if step in run["losses"]}
    norms, loads = (
        {step: alone["rich"][name][step] for step in later} for name in ("norms", "loads")
    )
    assert_equal_runs(run, alone["rich"] | {"losses": later, "norms": norms, "loads": loads})


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_one_process_goes_on_from_the_checkpoint_of_two(alone, together, sharding):
    step, weights, state = together[sharding, "rich"]["half"]
    trainer, recorder = build(RICH, seed=99)
    trainer.resume(Checkpoint(step, weights, state))
    train(trainer)
    assert recorder.losses == pytest.approx(
        {n: loss for n, loss in alone["rich"]["losses"].items() if n > step}, abs=1e-5
    )


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_bfloat16_products_of_two_processes_are_those_of_one(together, sharding):
    one = trained(resolve(RICH, several_processes.BFLOAT16))
    # Rounded to 8 bits: far closer than the learning of a step, and not equal.
    assert together[sharding, "bfloat16"]["losses"] == pytest.approx(one["losses"], abs=0.02)
    assert {tensor.dtype for tensor in together[sharding, "bfloat16"]["weights"].values()} == {
        torch.float32
    }


def test_shares_of_any_number_of_rows_are_updated_as_the_whole(together):
    # Four tensors a parameter: weight, gradient, momentum, mean square.
    assert len(together["uneven"]) == 4 * (3 + 1 + 1 + 2)
    assert max(together["uneven"]) < 1e-5


def test_decisions_are_those_of_the_first_process(together):
    first, second = together["decisions"]
    assert first["agree"] == second["agree"] == 10.0
    assert first["largest"] == second["largest"] == 11.0
    assert first["mean"] == second["mean"] == 10.5
    assert first["gather"] == second["gather"] == [0, 1]
    assert first["should_stop"] is second["should_stop"] is True
    assert first["order"] < second["order"]


def test_processes_draw_different_random_numbers(together):
    first, second = together["decisions"]
    assert not torch.equal(first["random"], second["random"])


def test_rows_are_shared_out_part_by_part():
    # Two parts of four rows, two processes: rows 0 and 1 of each part, then rows 2 and 3.
    tokens_BT = torch.arange(8)[:, None]
    first = Processes(0, 2).own_rows(tokens_BT, parts=2)
    second = Processes(1, 2).own_rows(tokens_BT, parts=2)
    assert first.flatten().tolist() == [0, 1, 4, 5]
    assert second.flatten().tolist() == [2, 3, 6, 7]


def test_a_batch_that_cannot_be_shared_out_is_refused():
    training = resolve(
        BASE,
        {
            "training.batch_size": 4,
            "training.batch_size_stages": [{"from_fraction": 0.5, "batch_size": 6}],
            "training.gradient_accumulation_steps": 2,
        },
    ).training
    check_batches(training, 1)
    message = r"batch of 6 sequences in 2 part\(s\) .* over 2 devices; take a multiple of 4"
    with pytest.raises(InvalidInput, match=message) as refused:
        check_batches(training, 2)
    assert [problem.path for problem in refused.value.problems] == ["training.batch_size"]
