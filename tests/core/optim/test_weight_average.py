import pytest
import torch
from torch import nn

from core.optim.weight_average import WeightAverage


def one_weight(value, dtype=torch.float32):
    model = nn.Linear(1, 1, bias=False)
    model.weight.data = torch.tensor([[value]], dtype=dtype)
    return model


def test_the_average_is_worked_by_hand():
    model = one_weight(0.0)
    average = WeightAverage(model, decay=0.15)
    model.weight.data.fill_(1.0)
    average.update(1)  # decay 1 / 10
    assert average.weights["weight"].item() == pytest.approx(0.9)
    model.weight.data.fill_(2.0)
    average.update(2)  # decay min(0.15, 2 / 11)
    assert average.weights["weight"].item() == pytest.approx(0.15 * 0.9 + 0.85 * 2.0)


def test_within_the_block_the_model_has_the_average():
    model = one_weight(0.0)
    average = WeightAverage(model, decay=0.5)
    model.weight.data.fill_(1.0)
    average.update(1)
    with average.in_place():
        assert model.weight.item() == pytest.approx(0.9)
    assert model.weight.item() == 1.0
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    assert model.weight.item() == 1.0


def test_bfloat16_weights_have_a_float32_average():
    model = one_weight(1.0, torch.bfloat16)
    average = WeightAverage(model, decay=0.999)
    model.weight.data.fill_(1.0078125)
    average.update(100_000)
    assert average.weights["weight"].item() == pytest.approx(1 + 0.001 * 0.0078125, abs=1e-7)


def test_an_average_goes_on_from_what_was_saved():
    saved = WeightAverage(one_weight(3.0), decay=0.5)
    other = WeightAverage(one_weight(0.0), decay=0.5)
    other.load(saved.weights)
    assert other.weights["weight"].item() == 3.0
