"""Seconds of several processes."""

import pytest
import torch

from core.train.clock import Clock


def test_a_measurement_is_what_the_processes_agree_on():
    measured = []

    def agree(seconds: float) -> float:
        measured.append(seconds)
        return 7.0

    clock = Clock(torch.device("cpu"), agree)
    for _ in range(2):
        with clock.measure("train"):
            pass
    assert clock.seconds == {"data": 0.0, "compile": 0.0, "train": 14.0, "eval": 0.0}
    assert len(measured) == 2
    assert 0.0 < measured[0] < 1.0


def test_a_part_that_fails_is_not_asked_of_the_others():
    def agree(seconds: float) -> float:
        raise AssertionError("the others wait elsewhere")

    clock = Clock(torch.device("cpu"), agree)
    with pytest.raises(KeyError), clock.measure("train"):
        raise KeyError
    with pytest.raises(AssertionError), clock.measure("eval"):
        pass
