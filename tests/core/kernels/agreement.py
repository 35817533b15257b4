"""How far a fused operation is from the plain one."""

import pytest
import torch

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def relative_error(ours, reference):
    """Norm of the difference over the norm of the reference; NaN never passes a bound."""
    difference = ours.double() - reference.double()
    return (difference.norm() / reference.double().norm()).item()
