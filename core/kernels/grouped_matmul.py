"""One matrix product for each group of consecutive rows.

Shape suffixes: N rows, I input channels, O output channels, E groups.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from core.kernels.selection import is_fused

Backend = Literal["library", "triton", "loop"]


def grouped_matmul(x_NI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    """Multiply rows ends[e - 1] to ends[e] of `x` by the transpose of `weight[e]`; [N, O].

    On CUDA in bfloat16 it is one kernel and never synchronises; elsewhere one product a group.

    Args:
        ends_E: int32, where each group ends. Kernels leave rows past the last end unwritten; the
            loop needs a last end of N.
    """
    if backend(x_NI, weight_EOI) == "loop":
        looped_NO: Tensor = _loop(x_NI, weight_EOI, ends_E)
        return looped_NO
    product_NO: Tensor = _rows(x_NI, weight_EOI, ends_E)[0]
    return product_NO


def backend(x_NI: Tensor, weight_EOI: Tensor) -> Backend:
    """What multiplies these fastest.

    PyTorch's own grouped product is one kernel on compute capability 9.0 and 10.0 alone, and
    there only for rows of whole 16 bytes; on other GPUs it loops on the host.
    """
    if not is_fused(x_NI):
        return "loop"
    has_kernel = torch.cuda.get_device_capability(x_NI.device) in ((9, 0), (10, 0))
    is_aligned = weight_EOI.size(1) % 8 == 0 and weight_EOI.size(2) % 8 == 0
    return "library" if has_kernel and is_aligned else "triton"


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _loop(x_NI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    """One product a group; never compiled, because the sizes of groups change with every batch."""
    sizes = torch.diff(ends_E, prepend=ends_E.new_zeros(1)).tolist()
    groups = zip(x_NI.split(sizes), weight_EOI.type_as(x_NI).unbind(), strict=True)
    return torch.cat([rows_NI @ weight_OI.mT for rows_NI, weight_OI in groups])


def _multiply(x_NI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> Tensor:
    """Rows by the transposes of their groups' matrices, all in bfloat16."""
    if backend(x_NI, weight_EOI) == "library":
        return F.grouped_mm(x_NI, weight_EOI.mT, offs=ends_E)
    from core.kernels.triton_grouped_matmul import multiply_rows

    return multiply_rows(x_NI, weight_EOI, ends_E)


@torch.library.custom_op("five_dollar::grouped_rows", mutates_args=())
def _rows(x_NI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> tuple[Tensor, Tensor]:
    """The product, and the weight in bfloat16 for the backward pass."""
    product_EOI = weight_EOI.to(torch.bfloat16, copy=True)
    return _multiply(x_NI, product_EOI, ends_E), product_EOI


@_rows.register_fake
def _(x_NI: Tensor, weight_EOI: Tensor, ends_E: Tensor) -> tuple[Tensor, Tensor]:
    return (
        x_NI.new_empty(x_NI.size(0), weight_EOI.size(1)),
        torch.empty_like(weight_EOI, dtype=torch.bfloat16),
    )


@torch.library.custom_op("five_dollar::grouped_gradients", mutates_args=())
def _gradients(
    gradient_NO: Tensor,
    x_NI: Tensor,
    product_EOI: Tensor,
    ends_E: Tensor,
    weight_dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Gradients of rows and weight, the latter as it was summed: never rounded to bfloat16."""
    from core.kernels.triton_grouped_matmul import weight_gradient

    gradient_NO = gradient_NO.contiguous()
    return (
        _multiply(gradient_NO, product_EOI.mT, ends_E),
        weight_gradient(gradient_NO, x_NI, ends_E, weight_dtype),
    )


@_gradients.register_fake
def _(
    gradient_NO: Tensor,
    x_NI: Tensor,
    product_EOI: Tensor,
    ends_E: Tensor,
    weight_dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x_NI), torch.empty_like(product_EOI, dtype=weight_dtype)


def _save_for_backward(
    ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]
) -> None:
    x_NI, weight_EOI, ends_E = inputs
    ctx.weight_dtype = weight_EOI.dtype
    ctx.save_for_backward(x_NI, output[1], ends_E)


def _backward(ctx: Any, gradient_NO: Tensor, _: object) -> tuple[Tensor, Tensor, None]:
    x_NI, product_EOI, ends_E = ctx.saved_tensors
    return *_gradients(gradient_NO, x_NI, product_EOI, ends_E, ctx.weight_dtype), None


_rows.register_autograd(_backward, setup_context=_save_for_backward)
