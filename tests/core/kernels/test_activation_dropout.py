import pytest
import torch
import torch.nn.functional as F

from core.kernels.activation_dropout import fused_activation_dropout
from tests.core.kernels.agreement import needs_gpu, relative_error

pytestmark = needs_gpu

PLAIN = {"silu": F.silu, "gelu": F.gelu, "squared_relu": lambda x: F.relu(x).square()}
SCALE = 65_536 / (65_536 - round(0.3 * 65_536))


@pytest.mark.parametrize("kind", PLAIN)
def test_kept_channels_and_their_gradients_are_scaled_and_others_are_zero(kind):
    torch.manual_seed(0)
    x = torch.randn(37, 1001, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    dropped = fused_activation_dropout(x, kind, 0.3)
    gradient = torch.randn_like(dropped)
    (ours,) = torch.autograd.grad(dropped, x, gradient)
    exact_x = x.detach().float().requires_grad_()
    exact = PLAIN[kind](exact_x)
    # Where the function itself is not zero, a zero can only come from the mask.
    kept = (dropped != 0) | (exact == 0)
    assert relative_error(dropped, exact * kept * SCALE) < 5e-3
    (theirs,) = torch.autograd.grad(exact, exact_x, gradient.float() * kept * SCALE)
    assert relative_error(ours, theirs) < 5e-3


def test_the_mask_has_the_rate_and_its_neighbours_are_independent():
    torch.manual_seed(0)
    x = torch.ones(1000, 1000, device="cuda", dtype=torch.bfloat16)
    dropped = fused_activation_dropout(x, "squared_relu", 0.1) == 0
    assert dropped.float().mean().item() == pytest.approx(0.1, abs=0.002)
    for shift in (1, 2, 4, 8, 1000):
        both = (dropped.flatten()[shift:] & dropped.flatten()[:-shift]).float().mean().item()
        assert both == pytest.approx(0.01, abs=0.001)


def test_the_generator_decides_the_mask():
    x = torch.randn(64, 64, device="cuda", dtype=torch.bfloat16)
    state = torch.cuda.get_rng_state()
    first = fused_activation_dropout(x, "silu", 0.5)
    second = fused_activation_dropout(x, "silu", 0.5)
    torch.cuda.set_rng_state(state)
    assert torch.equal(fused_activation_dropout(x, "silu", 0.5), first)
    assert not torch.equal(second, first)
