import pytest
import torch
import torch.nn.functional as F

from core.kernels import linear_cross_entropy as module
from core.kernels.linear_cross_entropy import (
    IGNORED,
    fused_linear_cross_entropy,
    fused_linear_scores,
)
from tests.core.kernels.agreement import needs_gpu, relative_error

pytestmark = needs_gpu


def example(num_tokens=300, num_entries=5003):
    torch.manual_seed(0)
    x = torch.randn(num_tokens, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weight = (torch.randn(num_entries, 64, device="cuda") * 0.3).requires_grad_()
    targets = torch.randint(num_entries, (num_tokens,), device="cuda")
    targets[::7] = IGNORED
    return x, weight, targets


def logits_of(x, weight, soft_cap):
    """Float32 logits of bfloat16 vectors."""
    logits = F.linear(x.float(), weight.bfloat16().float())
    return soft_cap * (logits / soft_cap).tanh() if soft_cap else logits


@pytest.mark.parametrize("chunk", [64, 8192])
@pytest.mark.parametrize("soft_cap", [0.0, 3.0])
def test_loss_and_gradients_agree_with_plain_operations(monkeypatch, soft_cap, chunk):
    monkeypatch.setattr(module, "LOSS_CHUNK_TOKENS", chunk)
    x, weight, targets = example()
    loss = fused_linear_cross_entropy(x, weight, targets, soft_cap)
    ours = torch.autograd.grad(2 * loss, (x, weight))
    plain = F.cross_entropy(logits_of(x, weight, soft_cap), targets)
    theirs = torch.autograd.grad(2 * plain, (x, weight))
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == their.dtype
        assert relative_error(our, their) < 1e-2


@pytest.mark.parametrize("num_channels", [40, 200])
def test_any_number_of_channels_will_do(num_channels):
    torch.manual_seed(0)
    x = torch.randn(70, num_channels, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weight = (torch.randn(300, num_channels, device="cuda") * 0.1).requires_grad_()
    targets = torch.randint(300, (70,), device="cuda")
    ours = torch.autograd.grad(fused_linear_cross_entropy(x, weight, targets, 0.0), (x, weight))
    plain = F.cross_entropy(logits_of(x, weight, 0.0), targets)
    theirs = torch.autograd.grad(plain, (x, weight))
    assert all(relative_error(a, b) < 1e-2 for a, b in zip(ours, theirs, strict=True))


def two_tokens_with_logits(below):
    """Each token's target lies so far below the other's, whose logit is 64."""
    x = 8 * torch.eye(2, 16, device="cuda", dtype=torch.bfloat16)
    weight = torch.zeros(2, 16, device="cuda")
    weight[0, 0] = weight[1, 1] = 8.0
    weight[1, 0] = weight[0, 1] = (64.0 - below) / 8
    return x.requires_grad_(), weight.requires_grad_(), torch.tensor([1, 0], device="cuda")


@pytest.mark.parametrize("below", [1.0, 32.0, 68.0])
def test_targets_far_below_other_logits_have_their_loss_and_gradient(below):
    x, weight, targets = two_tokens_with_logits(below)
    loss = fused_linear_cross_entropy(x, weight, targets, 0.0)
    plain = F.cross_entropy(logits_of(x, weight, 0.0), targets)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    ours = torch.autograd.grad(loss, (x, weight))
    theirs = torch.autograd.grad(plain, (x, weight))
    assert all(relative_error(a, b) < 1e-2 for a, b in zip(ours, theirs, strict=True))


def test_a_target_further_below_counts_as_70_below_and_nothing_is_infinite():
    x, weight, targets = two_tokens_with_logits(200.0)
    loss = fused_linear_cross_entropy(x, weight, targets, 0.0)
    assert loss.item() == pytest.approx(70.0, rel=1e-5)
    gradients = torch.autograd.grad(loss, (x, weight))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize("soft_cap", [0.0, 3.0])
def test_scores_agree_with_plain_operations(soft_cap):
    x, weight, targets = example()
    targets = targets.clamp(min=0)
    # Scores are taken from logits in the products' format.
    logits = F.linear(x, weight.bfloat16()).float()
    logits = soft_cap * (logits / soft_cap).tanh() if soft_cap else logits
    targets[1::3] = logits.argmax(dim=-1)[1::3]
    log_likelihood, is_top = fused_linear_scores(x, weight, targets, soft_cap)
    plain = logits.log_softmax(dim=-1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(log_likelihood, plain, rtol=1e-5, atol=1e-4)
    assert torch.equal(is_top, logits.argmax(dim=-1) == targets)
    assert is_top.any()
    assert not is_top.all()


def test_of_equal_logits_the_first_counts_as_highest():
    x = torch.ones(2, 16, device="cuda", dtype=torch.bfloat16)
    weight = torch.zeros(9000, 16, device="cuda")
    weight[[50, 8500]] = 1.0
    _, is_top = fused_linear_scores(x, weight, torch.tensor([50, 8500], device="cuda"), 0.0)
    assert is_top.tolist() == [True, False]


# The compiler itself uses what PyTorch has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_compiles_without_a_break():
    x, weight, targets = example()
    compiled = torch.compile(fused_linear_cross_entropy, fullgraph=True)
    loss = compiled(x, weight, targets, 0.0)
    ours = torch.autograd.grad(loss, (x, weight))
    eager = fused_linear_cross_entropy(x, weight, targets, 0.0)
    theirs = torch.autograd.grad(eager, (x, weight))
    assert loss.item() == pytest.approx(eager.item(), rel=1e-6)
    assert all(relative_error(a, b) < 1e-3 for a, b in zip(ours, theirs, strict=True))
