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
    """Float32 logits of bfloat16 products, as the fused operation has them."""
    logits = F.linear(x, weight.bfloat16()).float()
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


@pytest.mark.parametrize("soft_cap", [0.0, 3.0])
def test_scores_agree_with_plain_operations(soft_cap):
    x, weight, targets = example()
    targets = targets.clamp(min=0)
    logits = logits_of(x, weight, soft_cap)
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
