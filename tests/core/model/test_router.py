import math
import sys

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from core.model.router import TopKRouter, forget_counts, largest
from core.schema.model_config import FeedForwardConfig

LN_3 = math.log(3.0)


def identity_router(**changes):
    """A router whose logits are its inputs."""
    settings = {"num_experts": 2, "experts_per_token": 1, "router_noise": 0.0}
    config = FeedForwardConfig(**(settings | changes))
    router = TopKRouter(config.num_choices, config)
    router.gate.weight.data = torch.eye(config.num_choices)
    return router


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_largest_are_those_of_topk(count):
    torch.manual_seed(0)
    scores = torch.randn(100, 8)
    assert torch.equal(largest(scores, count), scores.topk(count).indices)


def test_softmax_weights_are_over_the_chosen_alone():
    routing = identity_router(num_experts=3, experts_per_token=2)(torch.tensor([[0.0, 1.0, 3.0]]))
    assert routing.experts_NK.tolist() == [[2, 1]]
    first = math.exp(3) / (math.exp(3) + math.exp(1))
    torch.testing.assert_close(routing.weights_NK, torch.tensor([[first, 1 - first]]))


def test_sigmoid_weights_are_sigmoids_divided_by_their_sum():
    router = identity_router(num_experts=3, experts_per_token=2, router_scores="sigmoid")
    # sigmoid(ln 3) = 3/4 and sigmoid(0) = 1/2.
    logits = torch.tensor([[-1.0, LN_3, 0.0]])
    routing = router(logits)
    assert routing.experts_NK.tolist() == [[1, 2]]
    torch.testing.assert_close(routing.weights_NK, torch.tensor([[0.6, 0.4]]))


def test_sigmoid_weights_survive_logits_whose_sigmoids_underflow():
    router = identity_router(num_experts=2, experts_per_token=2, router_scores="sigmoid")
    # There sigmoid(x) is exp(x), so that the weights are 3/4 and 1/4.
    routing = router(torch.tensor([[-200.0, -200.0 - LN_3]]))
    torch.testing.assert_close(routing.weights_NK, torch.tensor([[0.75, 0.25]]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("router_scores", ["softmax", "sigmoid"])
def test_gradients_of_weights_reach_the_chosen_logits_alone(router_scores):
    router = identity_router(num_experts=4, experts_per_token=2, router_scores=router_scores)
    x = torch.tensor([[0.3, -0.2, 0.9, -1.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(router(x).weights_NK[0, 0], x)
    chosen = x[0, [2, 0]].detach().requires_grad_()
    parts = chosen.exp() if router_scores == "softmax" else chosen.sigmoid()
    (expected,) = torch.autograd.grad(parts[0] / parts.sum(), chosen)
    torch.testing.assert_close(gradient[0, [2, 0]], expected)
    assert gradient[0, [1, 3]].tolist() == [0, 0]


def test_load_balancing_loss_worked_by_hand():
    # Two tokens with logits (1, -1) and (-1, 1) or (1, -1) twice; p = sigmoid(2) = 0.8808.
    router = identity_router(load_balancing_weight=0.5).eval()
    even = router(torch.tensor([[1.0, -1.0], [-1.0, 1.0]])).auxiliary_loss
    uneven = router(torch.tensor([[1.0, -1.0], [1.0, -1.0]])).auxiliary_loss
    assert even.item() == pytest.approx(0.5 * 2 * (0.5 * 0.5 + 0.5 * 0.5))
    assert uneven.item() == pytest.approx(0.5 * 2 * 0.880797, rel=1e-5)


def test_load_balancing_loss_of_sigmoids_worked_by_hand():
    # Sigmoids 3/4 and 1/2 are the probabilities 0.6 and 0.4; all tokens go to the first.
    router = identity_router(load_balancing_weight=0.5, router_scores="sigmoid")
    loss = router(torch.tensor([[LN_3, 0.0]])).auxiliary_loss
    assert loss.item() == pytest.approx(0.5 * 2 * 0.6)


def test_load_balancing_loss_covers_zero_compute_choices():
    # Three choices with probabilities 3/5, 1/5, 1/5, of which a token visits the first two.
    router = identity_router(zero_compute_experts=1, experts_per_token=2, load_balancing_weight=1.0)
    loss = router(torch.tensor([[0.0, -1e-6, LN_3]])).auxiliary_loss
    assert loss.item() == pytest.approx(3 * (0.5 * 0.6 + 0.5 * 0.2))


def test_z_loss_worked_by_hand():
    # log(1 + 3) and log(3 + 3), squared, mean, weighted; noise is no part of it.
    router = identity_router(load_balancing_weight=0.0, router_z_loss_weight=0.1, router_noise=10.0)
    loss = router(torch.tensor([[0.0, LN_3], [LN_3, LN_3]])).auxiliary_loss
    assert loss.item() == pytest.approx(0.1 * (math.log(4) ** 2 + math.log(6) ** 2) / 2)


def test_noise_explores_in_training_alone():
    torch.manual_seed(0)
    router = TopKRouter(8, FeedForwardConfig(num_experts=8, router_noise=5.0))
    x = torch.randn(64, 8)
    router.eval()
    assert torch.equal(router(x).experts_NK, router(x).experts_NK)
    router.train()
    assert not torch.equal(router(x).experts_NK, router(x).experts_NK)


@pytest.mark.parametrize(
    ("router_scores", "logits", "gap"),
    [("sigmoid", [LN_3, 0.0, -5.0], 0.25), ("softmax", [LN_3, 0.0, 0.0], 0.4)],
)
def test_the_bias_moves_the_choice_and_no_weight(router_scores, logits, gap):
    # Scores of the first two: sigmoids 0.75 and 0.5; softmax 0.6 and 0.2.
    router = identity_router(num_experts=3, balancing="bias", router_scores=router_scores)
    x = torch.tensor([logits])
    for bias, winner in ((gap - 0.01, 0), (gap + 0.01, 1)):
        router.bias_E.copy_(torch.tensor([0.0, bias, 0.0]))
        routing = router(x)
        assert routing.experts_NK.item() == winner
        assert routing.weights_NK.item() == 1
        assert routing.auxiliary_loss.item() == 0


def test_biased_choices_are_weighted_by_their_own_scores():
    router = identity_router(
        num_experts=3, experts_per_token=2, balancing="bias", router_scores="sigmoid"
    )
    router.bias_E.copy_(torch.tensor([0.0, 0.0, 9.0]))
    # The third, though lowest, comes first; sigmoids 1/4 and 3/4.
    routing = router(torch.tensor([[0.0, LN_3, -LN_3]]))
    assert routing.experts_NK.tolist() == [[2, 1]]
    torch.testing.assert_close(routing.weights_NK, torch.tensor([[0.25, 0.75]]))


def test_the_bias_follows_the_load_of_all_micro_batches():
    router = identity_router(num_experts=4, balancing="bias", bias_update_rate=0.25)
    one_hot = torch.eye(4)
    router(one_hot[[0, 0, 0]])
    router(one_hot[[1, 1, 2, 2, 2]])
    router.eval()(one_hot[[3, 3, 3, 3]])
    # Loads in training are 3, 2, 3, 0 around a mean of 2.
    router.update_bias()
    assert router.bias_E.tolist() == [-0.25, 0.0, -0.25, 0.25]
    forget_counts([router])
    router.update_bias()
    assert router.bias_E.tolist() == [-0.25, 0.0, -0.25, 0.25]


@pytest.mark.parametrize("balancing", ["loss", "bias"])
@pytest.mark.parametrize("router_scores", ["softmax", "sigmoid"])
def test_choices_are_counted_in_training_alone_until_they_are_forgotten(balancing, router_scores):
    router = identity_router(num_experts=4, balancing=balancing, router_scores=router_scores)
    one_hot = torch.eye(4)
    router(one_hot[[0, 0, 0]])
    router(one_hot[[1, 2]])
    router.eval()(one_hot[[3, 3, 3, 3]])
    assert router.counts_E.tolist() == [3, 1, 1, 0]
    forget_counts([router])
    assert router.counts_E.tolist() == [0, 0, 0, 0]
    forget_counts([])


def test_a_checkpoint_keeps_the_bias_and_not_the_counts():
    router = identity_router(balancing="bias")
    assert list(router.state_dict()) == ["bias_E", "gate.weight"]
    assert [name for name, _ in router.named_parameters()] == ["gate.weight"]


def test_without_bias_balancing_nothing_is_kept_or_updated():
    router = identity_router()
    router(torch.randn(5, 2))
    router.update_bias()
    assert list(router.state_dict()) == ["gate.weight"]


@pytest.mark.parametrize("balancing", ["loss", "bias"])
def test_routing_compiles_in_one_graph(balancing):
    router = identity_router(
        num_experts=4, balancing=balancing, router_scores="sigmoid", router_z_loss_weight=0.1
    )
    compiled = torch.compile(router, fullgraph=True, backend="eager")
    x = torch.randn(6, 4)
    torch.testing.assert_close(compiled(x), router(x))
    assert router.counts_E.sum().item() == 12


def _train_on_two_ranks(rank, store):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    # Rank 0 sends all tokens to the first expert; rank 1 half to each.
    x = torch.tensor([[LN_3, 0.0], [LN_3, 0.0] if rank == 0 else [0.0, LN_3]])
    router = identity_router(load_balancing_weight=1.0)
    loss = router(x).auxiliary_loss.item()
    # Shares of both ranks are 3/4 and 1/4; probabilities are the rank's own.
    assert loss == pytest.approx(2 * (0.75 * 0.75 + 0.25 * 0.25) if rank == 0 else 1.0)
    biased = identity_router(balancing="bias", bias_update_rate=0.25)
    biased(x)
    biased.update_bias()
    assert biased.bias_E.tolist() == [-0.25, 0.25]
    alone = router.eval()(x).auxiliary_loss.item()
    assert alone == pytest.approx(2 * 0.75 if rank == 0 else 1.0)
    dist.destroy_process_group()


@pytest.mark.skipif(sys.platform != "linux", reason="forks, because a new process takes seconds")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_shares_and_loads_are_those_of_all_ranks(tmp_path):
    mp.start_processes(_train_on_two_ranks, (tmp_path / "store",), nprocs=2, start_method="fork")
