"""What the machine offers."""

import os
import stat

import pytest

from runner.work.device import Device, find_device, num_gpus, parse_gpus


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a fake `nvidia-smi` first in the path; it notes its arguments."""

    def install(answer: str):
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "{answer}"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "arguments"

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return install


def test_the_first_gpu_is_taken(nvidia_smi):
    nvidia_smi("NVIDIA GeForce RTX 4090, 24564\nNVIDIA A100, 81920")
    assert find_device() == Device("NVIDIA GeForce RTX 4090", 24564 * 1024**2, has_cuda=True)


def test_the_first_visible_gpu_is_asked_for(nvidia_smi, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    arguments = nvidia_smi("NVIDIA H100, 81559")
    assert find_device().has_cuda
    assert "--id=3" in arguments.read_text()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", 0),
        ("NVIDIA H100, 81559", 1),
        ("NVIDIA H100, 81559\nNVIDIA H100, 81559", 2),
        ("NVIDIA H100, 81559\nNVIDIA A100, 81920", 1),
    ],
)
def test_gpus_of_one_model_train_together(nvidia_smi, answer, expected):
    nvidia_smi(answer)
    assert num_gpus() == expected
    assert num_gpus("cpu") == 0


def test_only_visible_gpus_are_counted(nvidia_smi, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 1")
    arguments = nvidia_smi("NVIDIA H100, 81559\nNVIDIA H100, 81559")
    assert num_gpus() == 2
    assert "--id=3,1" in arguments.read_text()


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_used(nvidia_smi, monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    nvidia_smi("NVIDIA H100, 81559")
    assert not find_device().has_cuda


def test_the_processor_has_the_machines_memory():
    device = find_device("cpu")
    assert device.name == "cpu"
    assert device.memory_bytes > 256 * 1024**2


@pytest.mark.parametrize("answer", ["", "No devices were found", "name, [N/A]"])
def test_an_answer_without_a_gpu_is_no_gpu(answer):
    assert parse_gpus(answer) == []
