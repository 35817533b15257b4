import math

import pytest
import torch

from core.model.activation import activate, num_inputs

SIGMOID_1, SIGMOID_2 = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))
NORMAL_1 = (1 + math.erf(1 / math.sqrt(2))) / 2


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("silu", [1.0, -1.0, 2.0], [SIGMOID_1, SIGMOID_1 - 1, 2 * SIGMOID_2]),
        ("gelu", [1.0, -1.0, 0.0], [NORMAL_1, NORMAL_1 - 1, 0.0]),
        ("squared_relu", [3.0, -3.0, 0.5], [9.0, 0.0, 0.25]),
        # The gates are 1 and 2, the values 10 and -100.
        ("swiglu", [1.0, 2.0, 10.0, -100.0], [10 * SIGMOID_1, -200 * SIGMOID_2]),
    ],
)
def test_values_worked_by_hand(kind, inputs, expected):
    output = activate(torch.tensor([inputs]), kind, dropout=0.5, training=False)
    torch.testing.assert_close(output, torch.tensor([expected]))
    assert len(inputs) == num_inputs(kind) * len(expected)


@pytest.mark.parametrize("kind", ["silu", "gelu", "squared_relu", "swiglu"])
def test_activations_stay_in_the_format_of_the_matrix_products(kind):
    hidden = torch.randn(3, 4, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert activate(hidden, kind, dropout=0.1, training=True).dtype == torch.bfloat16


def test_dropout_zeroes_its_share_of_channels_and_scales_the_rest():
    torch.manual_seed(0)
    hidden = torch.full((100, 100), 3.0)
    output = activate(hidden, "squared_relu", dropout=0.2, training=True)
    dropped = output == 0
    assert dropped.float().mean().item() == pytest.approx(0.2, abs=0.02)
    torch.testing.assert_close(output[~dropped], torch.full_like(output[~dropped], 9 / 0.8))
