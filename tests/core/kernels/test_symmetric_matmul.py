import pytest
import torch

from core.kernels.symmetric_matmul import symmetric_matmul, symmetric_polynomial
from tests.core.kernels.agreement import needs_gpu, relative_error


def test_polynomial_worked_by_hand():
    matrix = torch.tensor([[[1.0, 2.0], [2.0, 0.0]]])
    # A A is [[5, 2], [2, 4]]: 10 I - A + 0.5 A A.
    expected = torch.tensor([[[11.5, -1.0], [-1.0, 12.0]]])
    torch.testing.assert_close(symmetric_polynomial(matrix, 10.0, -1.0, 0.5), expected)


def test_scaled_polynomial_is_that_of_the_scaled_matrix():
    # X = [2], so A = [4]; with s = 0.5 the polynomial of s² A = 1 is 3 + 5 + 7, times s.
    matrix = torch.tensor([[[4.0]]])
    scaled = symmetric_polynomial(matrix, 3.0, 5.0, 7.0, torch.tensor([0.5]))
    torch.testing.assert_close(scaled, torch.tensor([[[7.5]]]))


class TestOnTheGpu:
    pytestmark = needs_gpu

    @pytest.mark.parametrize("shape", [(3, 512, 2048), (2, 200, 72), (1, 128, 128)])
    @pytest.mark.parametrize("tall", [False, True])
    def test_products_agree_with_float64(self, shape, tall):
        torch.manual_seed(0)
        x = torch.randn(shape, device="cuda", dtype=torch.bfloat16) / shape[-1] ** 0.5
        x = x.mT.contiguous().mT if tall else x
        gram = symmetric_matmul(x)
        assert relative_error(gram, x.double() @ x.double().mT) < 5e-3
        assert torch.equal(gram, gram.mT)
        exact = gram.double()
        eye = torch.eye(shape[1], device="cuda", dtype=torch.float64)
        polynomial = 3.4 * eye - 4.7 * exact + 2.0 * exact @ exact
        assert relative_error(symmetric_polynomial(gram, 3.4, -4.7, 2.0), polynomial) < 5e-3
        scale = torch.linspace(0.2, 0.9, shape[0], device="cuda")
        s = scale.double()[:, None, None]
        polynomial = s * (3.4 * eye - 4.7 * s**2 * exact + 2.0 * s**4 * exact @ exact)
        scaled = symmetric_polynomial(gram, 3.4, -4.7, 2.0, scale)
        assert relative_error(scaled, polynomial) < 5e-3
