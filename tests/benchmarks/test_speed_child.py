import pytest
import torch

from benchmarks import speed_child
from benchmarks.measurement import DataRequest, MachineRequest, RunRequest
from core.kernels import grouped_matmul, selection
from core.train import run as run_module


def request(tmp_path, **changes):
    given = {"track": "debug", "overrides": {}, "seed": 1, "computation": "fast", "mirror": None}
    return RunRequest(**{**given, "cache_directory": tmp_path, "device": "auto", **changes})


def test_the_reference_path_is_plain_and_not_compiled(monkeypatch):
    monkeypatch.setattr(speed_child, "Trainer", lambda **arguments: arguments)
    with speed_child._computing("reference"):
        built = run_module.Trainer(seed=3, is_compiled=True)
        assert selection._plain
    assert built == {"seed": 3, "is_compiled": False}
    assert not selection._plain


def test_only_the_reference_may_use_more_memory_than_the_track_allows(tmp_path):
    fast = speed_child._spec(request(tmp_path, track="gpu_24gb"))
    plain = speed_child._spec(request(tmp_path, track="gpu_24gb", computation="reference"))
    assert fast.budget.memory_gib == 24
    assert plain.budget.memory_gib is None
    assert plain.experiment == fast.experiment


@pytest.mark.parametrize(("fused", "expected"), [(True, "triton"), (False, "loop")])
def test_triton_is_forced_wherever_there_are_kernels(monkeypatch, fused, expected):
    monkeypatch.setattr(speed_child, "is_fused", lambda _: fused)
    with speed_child._computing("triton"):
        assert grouped_matmul.backend(torch.zeros(1), torch.zeros(1)) == expected


def test_the_matrix_rate_is_operations_over_the_median_time(monkeypatch):
    monkeypatch.setattr(speed_child, "_seconds", lambda *_: [0.5, 0.25, 8.0])
    monkeypatch.setattr(speed_child, "select_device", lambda _: torch.device("cpu"))
    # 2 × 10³ operations in half a second.
    assert speed_child.measure_machine(MachineRequest(size=10)).flops_per_second == 4000.0


def test_both_ways_of_encoding_are_timed_on_the_same_documents():
    rates = speed_child.measure_data(DataRequest(track="debug", num_documents=4, mirror=None))
    # Ours writes files and builds the tokenizer as well.
    assert 0 < rates.tokens_per_second < rates.reference_tokens_per_second
