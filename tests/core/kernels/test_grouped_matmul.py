import pytest
import torch

from core.kernels import grouped_matmul as module
from core.kernels.grouped_matmul import grouped_matmul
from tests.core.kernels.agreement import needs_gpu, relative_error


def test_each_group_is_multiplied_by_its_own_matrix():
    x, weight = torch.randn(5, 3), torch.randn(4, 2, 3)
    product = grouped_matmul(x, weight, torch.tensor([2, 2, 5, 5], dtype=torch.int32))
    torch.testing.assert_close(product, torch.cat((x[:2] @ weight[0].T, x[2:] @ weight[2].T)))


class TestOnTheGpu:
    pytestmark = needs_gpu

    @pytest.mark.parametrize("backend", ["library", "triton"])
    @pytest.mark.parametrize("sizes", [(128, 128, 128, 128), (0, 1, 700, 299), (0, 0, 0, 333)])
    def test_forward_and_gradients_agree_with_float64(self, monkeypatch, backend, sizes):
        if backend == "library" and torch.cuda.get_device_capability() not in ((9, 0), (10, 0)):
            pytest.skip("PyTorch has no grouped kernel for this GPU")
        monkeypatch.setattr(module, "backend", lambda *_: backend)
        torch.manual_seed(0)
        num_rows = sum(sizes)
        ends = torch.tensor(sizes, device="cuda").cumsum(0).to(torch.int32)
        x = torch.randn(num_rows, 96, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        weight = torch.randn(4, 160, 96, device="cuda", requires_grad=True)
        gradient = torch.randn(num_rows, 160, device="cuda", dtype=torch.bfloat16)
        product = grouped_matmul(x, weight, ends)
        ours = (product, *torch.autograd.grad(product, (x, weight), gradient))
        exact_x = x.detach().double().requires_grad_()
        exact_weight = weight.detach().bfloat16().double().requires_grad_()
        rows = exact_x.split(sizes)
        exact = torch.cat([part @ exact_weight[e].T for e, part in enumerate(rows)])
        reference = (
            exact,
            *torch.autograd.grad(exact, (exact_x, exact_weight), gradient.double()),
        )
        for our, their in zip(ours, reference, strict=True):
            assert relative_error(our, their) < 5e-3

    def test_sizes_that_no_tile_divides(self, monkeypatch):
        monkeypatch.setattr(module, "backend", lambda *_: "triton")
        torch.manual_seed(0)
        ends = torch.tensor([37, 37, 201], dtype=torch.int32, device="cuda")
        x = torch.randn(201, 72, device="cuda", dtype=torch.bfloat16)
        weight = torch.randn(3, 24, 72, device="cuda")
        product = grouped_matmul(x, weight, ends)
        exact_weight = weight.bfloat16().double()
        exact = torch.cat(
            (x[:37].double() @ exact_weight[0].T, x[37:].double() @ exact_weight[2].T)
        )
        assert relative_error(product, exact) < 5e-3

    # The compiler itself uses what PyTorch has deprecated.
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_it_compiles_without_a_break(self, monkeypatch):
        monkeypatch.setattr(module, "backend", lambda *_: "triton")
        torch.manual_seed(0)
        ends = torch.tensor([100, 256], dtype=torch.int32, device="cuda")
        x = torch.randn(256, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        weight = torch.randn(2, 128, 64, device="cuda", requires_grad=True)
        eager = grouped_matmul(x, weight, ends)
        compiled = torch.compile(grouped_matmul, fullgraph=True)(x, weight, ends)
        assert torch.equal(compiled, eager)
        gradient = torch.randn_like(eager)
        ours = torch.autograd.grad(compiled, (x, weight), gradient)
        theirs = torch.autograd.grad(eager, (x, weight), gradient)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
