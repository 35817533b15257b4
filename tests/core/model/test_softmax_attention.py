import math

import pytest
import torch

from core.model import masking
from core.model.masking import sequence_context
from core.model.softmax_attention import softmax_attention
from core.schema.model_config import AttentionConfig

SEPARATOR = 9


def heads(length, q_heads, kv_heads, dtype, dim=16, value_dim=16, device="cpu"):
    torch.manual_seed(0)
    return [
        torch.randn(2, length, count, size, device=device, dtype=dtype, requires_grad=True)
        for count, size in ((q_heads, dim), (kv_heads, dim), (kv_heads, value_dim))
    ]


def random_tokens(length):
    torch.manual_seed(1)
    return torch.where(torch.rand(2, length) < 0.15, SEPARATOR, 1)


def one_query_at_a_time(q, k, v, tokens, window, document_masking):
    """The definition: for each query walk back over its keys, then softmax."""
    rows = []
    for b in range(q.size(0)):
        for t in range(q.size(1)):
            visible = [t]
            for s in range(t - 1, -1, -1):
                if window and len(visible) == window:
                    break
                if document_masking and tokens[b, s] == SEPARATOR:
                    break
                visible.append(s)
            for h in range(q.size(2)):
                shared = h // (q.size(2) // k.size(2))
                scores = k[b, visible, shared] @ q[b, t, h] / math.sqrt(q.size(-1))
                rows.append(scores.softmax(0) @ v[b, visible, shared])
    return torch.stack(rows).view(*q.shape[:3], -1)


def settings(window, document_masking):
    return AttentionConfig(window_pattern=(window,), document_masking=document_masking)


def mask_for(tokens, config):
    return sequence_context(tokens, config, SEPARATOR).mask(config.window(0))


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize(
    ("window", "document_masking"), [(0, False), (3, False), (0, True), (5, True)]
)
def test_outputs_and_gradients_are_those_of_the_definition(window, document_masking, kv_heads):
    tokens = random_tokens(12)
    q, k, v = heads(12, 4, kv_heads, torch.float32, dim=6, value_dim=10)
    mask = mask_for(tokens, settings(window, document_masking))
    attended = softmax_attention(q, k, v, mask, dropout=0.0)
    expected = one_query_at_a_time(q, k, v, tokens, window, document_masking)
    torch.testing.assert_close(attended, expected)
    direction = torch.randn_like(expected)
    gradients = torch.autograd.grad((attended * direction).sum(), (q, k, v))
    expected_gradients = torch.autograd.grad((expected * direction).sum(), (q, k, v))
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [0, 4])
def test_shared_heads_in_bfloat16_are_the_repeated_ones(window):
    q, k, v = heads(12, 4, 2, torch.bfloat16)
    mask = mask_for(random_tokens(12), settings(window, False))
    shared = softmax_attention(q, k, v, mask, dropout=0.0)
    repeated = softmax_attention(q, k[:, :, [0, 0, 1, 1]], v[:, :, [0, 0, 1, 1]], mask, dropout=0.0)
    torch.testing.assert_close(shared, repeated, rtol=0.02, atol=0.01)


def test_dropout_acts_on_attention_weights():
    q, k, v = heads(12, 2, 2, torch.float32)
    dropped = softmax_attention(q, k, v, None, dropout=0.5)
    # The first position sees itself alone, with weight 1: dropped, or kept at 1 / (1 - 0.5).
    first = dropped[:, 0] / v[:, 0]
    assert all(
        torch.allclose(row, torch.full_like(row, round(row[0].item())))
        and round(row[0].item()) in (0, 2)
        for row in first.flatten(0, 1)
    )


def attend(config, tokens, q, k, v):
    return softmax_attention(q, k, v, mask_for(tokens, config), dropout=0.0)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # PyTorch's
def test_block_masks_trace_in_one_graph_and_agree_with_dense_ones(monkeypatch):
    config, tokens = settings(40, True), random_tokens(128)
    inputs = [x.detach() for x in heads(128, 2, 1, torch.bfloat16)]
    dense = attend(config, tokens, *inputs)
    monkeypatch.setattr(masking, "_takes_blocks", lambda tokens_BT: True)
    compiled = torch.compile(attend, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(config, tokens, *inputs), dense, rtol=0.02, atol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore")  # The compiler's hints are no faults of ours.
@pytest.mark.parametrize("length", [1024, 96])
@pytest.mark.parametrize(
    ("kv_heads", "dim", "value_dim"), [(4, 64, 64), (2, 80, 48), (4, 160, 128)]
)
@pytest.mark.parametrize(("window", "document_masking"), [(50, False), (0, True), (300, True)])
def test_cuda_kernels_agree_with_float32(
    length, kv_heads, dim, value_dim, window, document_masking
):
    config, tokens = settings(window, document_masking), random_tokens(length).cuda()
    inputs = heads(length, 4, kv_heads, torch.bfloat16, dim, value_dim, "cuda")
    exact = [x.detach().float().requires_grad_() for x in inputs]
    torch.compiler.reset()
    compiled = torch.compile(attend, fullgraph=True, dynamic=False)
    fast, slow = compiled(config, tokens, *inputs), attend(config, tokens, *exact)
    torch.testing.assert_close(fast.float(), slow, rtol=0.02, atol=0.02)
    direction = torch.randn_like(slow)
    gradients = torch.autograd.grad((fast * direction).sum(), inputs)
    wanted = torch.autograd.grad((slow * direction).sum(), exact)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient.float(), want, rtol=0.05, atol=0.05)
