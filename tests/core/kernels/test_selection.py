import torch

from core.kernels.selection import is_fused, product_format, reference_path
from tests.core.kernels.agreement import needs_gpu


def test_a_processor_has_no_fused_operations():
    assert not is_fused(torch.zeros(1, dtype=torch.bfloat16))


def test_products_follow_autocast():
    x = torch.zeros(1)
    assert product_format(x) == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product_format(x) == torch.bfloat16


class TestOnTheGpu:
    pytestmark = needs_gpu

    def test_the_reference_path_ends_with_its_block(self):
        x = torch.zeros(1, device="cuda", dtype=torch.bfloat16)
        assert is_fused(x)
        with reference_path():
            assert not is_fused(x)
        assert is_fused(x)
