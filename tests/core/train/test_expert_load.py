import pytest
import torch

from core.train.expert_load import expert_load


def test_the_spread_of_visits_worked_by_hand():
    # Means 10 and 20: the busiest have 2.1 and 1.25 times as many, the second has 0.05.
    counts_LE = torch.tensor([[21, 1, 8, 10], [25, 20, 15, 20]])
    load = expert_load(counts_LE)
    assert load.max_violation == pytest.approx((1.1 + 0.25) / 2)
    assert load.worst_max_violation == pytest.approx(1.1)
    assert load.idle_share == 0.0
    assert expert_load(torch.tensor([[399, 1, 0, 0]])).idle_share == 0.75


def test_an_expert_with_a_tenth_of_an_even_share_is_not_idle():
    assert expert_load(torch.tensor([[19, 1], [20, 0]])).idle_share == 0.25


def test_an_even_spread_is_zero_and_one_expert_alone_is_one_less_than_their_number():
    assert expert_load(torch.tensor([[7, 7, 7]])) == (0.0, 0.0, 0.0)
    assert expert_load(torch.tensor([[9, 0, 0]])) == (2.0, 2.0, pytest.approx(2 / 3))
    assert expert_load(torch.tensor([[5]])) == (0.0, 0.0, 0.0)


def test_a_layer_without_visits_has_idle_experts_that_none_exceeds():
    load = expert_load(torch.tensor([[0, 0], [3, 1]]))
    assert load == (0.25, 0.5, 0.5)


def test_a_model_without_experts_has_no_load():
    assert expert_load(None) == (None, None, None)
