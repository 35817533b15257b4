"""Compiling a function for each exact shape."""

from collections.abc import Callable
from typing import Any

import torch
import torch._inductor.config

MAX_COMPILED_SHAPES = 128
"""Stages, layers and matrices have more shapes than PyTorch expects."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A form of the function that is compiled when it is first called with a shape."""
    torch._dynamo.config.recompile_limit = MAX_COMPILED_SHAPES
    # In the backward pass of a norm, that reduction over rows and columns at once takes nearly
    # twice as long as one after the other (H100, PyTorch 2.11).
    torch._inductor.config.triton.mix_order_reduction = False
    compiled_function: Callable[..., Any] = torch.compile(function, dynamic=False)
    return compiled_function
