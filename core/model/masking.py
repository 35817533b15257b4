"""What a position may attend to beyond causality: windows and documents.

Shape suffixes: B batch, T time; in a mask, the first T is the query's and the second the key's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, and_masks, create_block_mask

from core.schema.model_config import AttentionConfig

BLOCK_TOKENS = 128
"""Queries, and keys, of one block of a block mask."""

MaskRule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Integer batch, head, query position and key position to whether the query sees the key."""


@dataclass(frozen=True)
class Mask:
    """One rule in the two forms that attention kernels take."""

    dense_BHTT: Tensor
    """Bool; B is 1 where all rows have one mask, H is 1."""
    blocks: BlockMask | None
    """For `flex_attention`; none where it is not to be used."""


@dataclass(frozen=True)
class SequenceContext:
    """What layers need to know of a batch besides the stream."""

    tokens_BT: Tensor
    """Int64 token ids."""
    documents_BT: Tensor | None
    """Int32 number of the document in its row, from 0; none without document masking. A
    separator belongs to the document that it ends."""
    masks: Mapping[int, Mask]
    """By window; a window that hides nothing but later tokens has none."""

    def mask(self, window: int) -> Mask | None:
        """The mask of a layer; none where it is causal and nothing else."""
        return self.masks.get(window)


def sequence_context(
    tokens_BT: Tensor, config: AttentionConfig, separator_id: int
) -> SequenceContext:
    """Documents and masks of a batch, built once for all layers.

    Both forms of a mask are described; under compilation the one that no layer takes costs
    nothing.
    """
    documents_BT = _documents(tokens_BT, separator_id) if config.document_masking else None
    masks = {}
    for window in sorted(set(config.window_pattern)):
        hides = 0 < window < tokens_BT.size(1)
        if hides or documents_BT is not None:
            rule = _rule(window if hides else 0, documents_BT)
            masks[window] = _mask(rule, tokens_BT, by_row=documents_BT is not None)
    return SequenceContext(tokens_BT, documents_BT, masks)


def _documents(tokens_BT: Tensor, separator_id: int) -> Tensor:
    """How many separators come before each token."""
    ends_BT = (tokens_BT == separator_id).int()
    return ends_BT.cumsum(dim=1, dtype=torch.int32) - ends_BT


def _rule(window: int, documents_BT: Tensor | None) -> MaskRule:
    """Causal, within `window` tokens unless it is 0, within a document where they are given."""

    def is_past(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return key <= query

    def is_near(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query - key < window

    rules: list[MaskRule] = [is_past]
    if window:
        rules.append(is_near)
    if documents_BT is not None:
        documents = documents_BT

        def is_same_document(b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return documents[b, query] == documents[b, key]

        rules.append(is_same_document)
    return and_masks(*rules)


def _mask(rule: MaskRule, tokens_BT: Tensor, by_row: bool) -> Mask:
    """Both forms of a rule; `by_row` where rows of the batch differ."""
    batch_size, length = tokens_BT.shape
    rows = batch_size if by_row else 1
    position_T = torch.arange(length, device=tokens_BT.device)
    row_B = torch.arange(rows, device=tokens_BT.device)
    dense_BHTT = rule(
        row_B[:, None, None, None],
        torch.zeros_like(row_B)[:, None, None, None],
        position_T[:, None],
        position_T,
    ).expand(rows, 1, length, length)
    blocks = None
    if _takes_blocks(tokens_BT):
        blocks = create_block_mask(
            rule, rows, None, length, length, tokens_BT.device, BLOCK_SIZE=BLOCK_TOKENS
        )
    return Mask(dense_BHTT, blocks)


def _takes_blocks(tokens_BT: Tensor) -> bool:
    """Whether `flex_attention` can serve: compiled, on CUDA, in whole blocks.

    Uncompiled it would hold every score in memory.
    """
    whole = tokens_BT.size(1) % BLOCK_TOKENS == 0
    return tokens_BT.is_cuda and torch.compiler.is_compiling() and whole
