import math

import pytest
import torch

from core.optim import orthogonalize as module
from core.optim.orthogonalize import orthogonalize, polynomials


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 16, 4), (2, 4, 16)])
def test_singular_values_come_close_to_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), 5, "quintic"))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_directions_are_those_of_the_polar_factor():
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 6)
    u, _, v = torch.linalg.svd(matrix)
    cosine = torch.nn.functional.cosine_similarity(
        orthogonalize(matrix, 12, "quintic").flatten(), (u @ v).flatten(), dim=0
    )
    assert cosine > 0.97


def with_singular_values(values):
    """A stack of one matrix [n, n + 2] with these singular values."""
    torch.manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(len(values), len(values)))
    v, _ = torch.linalg.qr(torch.randn(len(values) + 2, len(values)))
    return (u @ torch.diag(torch.tensor(values)) @ v.mT)[None]


def test_polar_express_brings_far_apart_values_close_to_one():
    matrix = with_singular_values([1.0, 0.5, 0.1, 0.02, 0.005])
    after_5 = torch.linalg.svdvals(orthogonalize(matrix, 5, "polar_express"))
    torch.testing.assert_close(after_5, torch.ones(1, 5), atol=0.15, rtol=0)
    after_9 = torch.linalg.svdvals(orthogonalize(matrix, 9, "polar_express"))
    torch.testing.assert_close(after_9, torch.ones(1, 5), atol=1e-4, rtol=0)
    quintic = torch.linalg.svdvals(orthogonalize(matrix, 5, "quintic"))
    assert (quintic - 1).abs().max() > 0.25


@pytest.mark.parametrize("coefficients", ["quintic", "polar_express"])
def test_an_iteration_acts_on_singular_values_as_its_polynomial(coefficients):
    # The values of a matrix divided by its norm: (3, 4) / 5, and for polar_express / 1.01.
    values = torch.tensor([0.8, 0.6], dtype=torch.float64)
    if coefficients == "polar_express":
        values = values / 1.01
    for a, b, c in polynomials(3, coefficients):
        values = a * values + b * values**3 + c * values**5
    result = torch.linalg.svdvals(orthogonalize(with_singular_values([3.0, 4.0]), 3, coefficients))
    expected = values.sort(descending=True).values.float()[None]
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


def test_the_published_polynomials_equioscillate():
    # The best odd quintic on [0.001, 1] errs by E at both ends, with opposite signs within.
    # The paper moves its lower end to 0.0240732… (its cushion) and rescales, which keeps
    # p(1) + p(0.001) = 2.
    a, b, c = next(polynomials(1, "polar_express"))
    a, b, c = a * 1.01, b * 1.01**3, c * 1.01**5

    def p(x):
        return a * x + b * x**3 + c * x**5

    assert p(1.0) + p(0.001) == pytest.approx(2.0, abs=1e-6)
    # Later ones map [l, 2 - l] to [l', 2 - l'], l' = p(l).
    lower = p(0.001)
    for a, b, c in list(polynomials(7, "polar_express"))[1:]:
        a, b, c = a * 1.01, b * 1.01**3, c * 1.01**5
        assert p(lower) + p(2 - lower) == pytest.approx(2.0, abs=1e-5)
        lower = p(lower)


def test_polynomials_after_the_last_are_the_last():
    assert list(polynomials(11, "polar_express"))[7:] == [(1.875, -1.25, 0.375)] * 4


def test_a_zero_matrix_stays_zero():
    assert not orthogonalize(torch.zeros(1, 3, 5), 5, "polar_express").any()


@pytest.mark.parametrize("coefficients", ["quintic", "polar_express"])
@pytest.mark.parametrize("shape", [(2, 12, 40), (2, 40, 12), (2, 12, 15)])
def test_float32_follows_the_iteration_on_the_matrix_in_float64(shape, coefficients):
    torch.manual_seed(0)
    # Columns of very different length, so that singular values are far apart.
    matrices = torch.randn(shape) * torch.logspace(0, -3, shape[-1])
    x = matrices.double()
    x = x / torch.linalg.matrix_norm(x, keepdim=True)
    if coefficients == "polar_express":
        x = x / 1.01
    for a, b, c in polynomials(5, coefficients):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result = orthogonalize(matrices, 5, coefficients).double()
    torch.testing.assert_close(result, x, rtol=0, atol=5e-5)


@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.parametrize("coefficients", ["quintic", "polar_express"])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-5])
def test_merging_costs_bfloat16_no_accuracy(monkeypatch, spread, coefficients, tall):
    torch.manual_seed(0)
    sides = [torch.linalg.qr(torch.randn(size, 64)).Q for size in (64, 256)]
    # From one large singular value down, as the gradients of the first steps have them.
    values = torch.logspace(0, math.log10(spread), 64) if spread < 1 else torch.ones(64)
    matrix = ((sides[0] * values) @ sides[1].T)[None]
    matrix = matrix.mT.contiguous() if tall else matrix
    exact = orthogonalize(matrix, 5, coefficients)
    rounded = matrix.bfloat16()
    merged = orthogonalize(rounded, 5, coefficients).float()
    monkeypatch.setattr(module, "merged_iterations", lambda *_: 1)
    apart = orthogonalize(rounded, 5, coefficients).float()
    assert (merged - exact).norm() < 1.5 * (apart - exact).norm() + 0.01 * exact.norm()
    assert not torch.equal(merged, apart)
