import pytest
import torch

from core.model.dispatch import dispatch


@pytest.mark.parametrize(
    ("num_tokens", "num_choices", "experts_per_token"),
    [(1, 1, 1), (7, 3, 1), (50, 8, 2), (50, 5, 5), (3, 200, 4)],
)
def test_counting_sorts_as_a_stable_sort_does(num_tokens, num_choices, experts_per_token):
    torch.manual_seed(0)
    logits = torch.randn(num_tokens, num_choices)
    experts = logits.topk(experts_per_token).indices
    visits = dispatch(experts, num_choices)
    order = experts.flatten().argsort(stable=True)
    assert torch.equal(visits.order_M.long(), order)
    assert torch.equal(visits.rows_NK.flatten().long(), order.argsort())
    counts = experts.flatten().bincount(minlength=num_choices)
    assert torch.equal(visits.ends_E.long(), counts.cumsum(0))
    assert visits.ends_E.dtype == torch.int32


def test_positions_worked_by_hand():
    # Visits 0 to 5 go to experts 2, 0, 3, 2, 0, 2; nobody goes to expert 1.
    visits = dispatch(torch.tensor([[2, 0], [3, 2], [0, 2]]), 4)
    assert visits.order_M.tolist() == [1, 4, 0, 3, 5, 2]
    assert visits.rows_NK.tolist() == [[2, 0], [5, 3], [1, 4]]
    assert visits.ends_E.tolist() == [2, 2, 5, 6]


def test_tokens_reach_their_rows_and_come_back_with_gradients():
    experts = torch.tensor([[2, 0], [3, 2], [0, 2]])
    visits = dispatch(experts, 4)
    x = torch.tensor([[10.0], [11.0], [12.0]], requires_grad=True)
    sent = visits.send(x, torch.float32)
    assert sent.flatten().tolist() == [10, 12, 10, 11, 12, 11]
    # Multiplied by 1, 2, … 6 in sorted order, then by 1, 10, … 100000 in the order of visits.
    returned = visits.collect(sent * torch.arange(1.0, 7.0)[:, None])
    assert returned.flatten().tolist() == [30, 10, 66, 44, 24, 60]
    (gradient,) = torch.autograd.grad((returned.flatten() * 10.0 ** torch.arange(6)).sum(), x)
    assert gradient.flatten().tolist() == [3 + 10, 600 + 4000, 20_000 + 500_000]


def test_a_tokens_gradient_is_summed_in_the_format_of_the_stream():
    # In bfloat16, 1 + 1/512 would be 1.
    visits = dispatch(torch.tensor([[0, 1]]), 2)
    x = torch.ones(1, 1, requires_grad=True)
    sent = visits.send(x, torch.bfloat16)
    assert sent.dtype == torch.bfloat16
    sent.backward(torch.tensor([[1.0], [1 / 512]], dtype=torch.bfloat16))
    assert x.grad.item() == 1 + 1 / 512
