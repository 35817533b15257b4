"""The network: a decoder-only transformer.

Shape suffixes: B batch, T time, C hidden channels, V vocabulary, N = B × T.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.kernels.linear_cross_entropy import IGNORED
from core.kernels.selection import stream_format
from core.model.block import Block
from core.model.connections import StreamConnections
from core.model.embedding import TokenEmbedding, TokenSmearing
from core.model.head import linear_cross_entropy, linear_logits
from core.model.masking import SequenceContext, sequence_context
from core.model.norm import RMSNorm
from core.model.router import TopKRouter, forget_counts
from core.schema.model_config import ModelConfig


class Transformer(nn.Module):
    """Token ids to logits, losses and hidden vectors.

    Norms, router, softmax and loss are float32; matrix products follow autocast, and so does the
    residual stream where there are kernels. On the plain path it is float32.
    """

    def __init__(
        self, config: ModelConfig, max_sequence_length: int, separator_id: int = 0
    ) -> None:
        """Draw the weights.

        Args:
            max_sequence_length: longest T that will be asked for.
            separator_id: token that ends a document.
        """
        super().__init__()
        self.config = config
        self.separator_id = separator_id
        self.embedding = TokenEmbedding(config)
        self.smearing = TokenSmearing(config, separator_id) if config.token_smearing else None
        self.blocks = nn.ModuleList(
            Block(config, layer, max_sequence_length) for layer in range(config.num_layers)
        )
        self.connections = StreamConnections(config)
        self.norm = RMSNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight
        _draw_matrices(self, config.init_std)
        # Built last, so that the rest starts from the same draws with and without them.
        self.extra_blocks = nn.ModuleList(
            Block(config, config.num_layers - 1, max_sequence_length)
            for _ in range(config.extra_predictions)
        )
        _draw_matrices(self.extra_blocks, config.init_std)
        if config.zero_init_projections:
            for block in (*self.blocks, *self.extra_blocks):
                block.zero_output()

    def forward(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Int64 token ids to (float32 logits [B, T, V], scalar auxiliary loss of the layers)."""
        x_BTC, auxiliary = self.hidden(tokens_BT)
        logits_NV = linear_logits(x_BTC.flatten(0, 1), self.head.weight, self.config.logit_soft_cap)
        return logits_NV.unflatten(0, tokens_BT.shape), auxiliary

    def hidden(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Int64 token ids to (what the output matrix multiplies [B, T, C], auxiliary loss)."""
        x_BTC, auxiliary = self._trunk(tokens_BT, self.context(tokens_BT))
        return self.dropout(self.norm(x_BTC)), auxiliary

    def losses(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Mean next-token loss of T - 1 predictions a row, in nats, and all auxiliary losses.

        Those are the feed-forward layers' and, while training, the weighted losses of the extra
        predictions; T must be above their number + 1.
        """
        context = self.context(tokens_BT)
        x_BTC, auxiliary = self._trunk(tokens_BT, context)
        loss = self.prediction_loss(x_BTC, tokens_BT, 1)
        if self.training:
            for ahead, block in enumerate(self.extra_blocks, start=2):
                extra_BTC, extra_auxiliary = block(x_BTC, context)
                extra_loss = self.prediction_loss(extra_BTC, tokens_BT, ahead)
                auxiliary = auxiliary + extra_auxiliary
                auxiliary = auxiliary + self.config.extra_prediction_weight * extra_loss
        return loss, auxiliary

    def before_step(self) -> None:
        """Let the routers count anew, before the first part of each step's batch."""
        forget_counts(_routers(self))

    def after_step(self) -> None:
        """Move the routers' balancing biases, after each step of the optimizer."""
        for router in _routers(self):
            router.update_bias()

    def expert_counts(self) -> Tensor | None:
        """Visits to each expert of each layer that has experts, since `before_step`.

        Int64 [layers, experts], a new tensor on the device: what this process counted, without
        zero-compute experts and without the blocks of extra predictions. None if all is dense.
        """
        counts = [router.counts_E for router in _routers(self.blocks)]
        return torch.stack(counts)[:, : self.config.feed_forward.num_experts] if counts else None

    def context(self, tokens_BT: Tensor) -> SequenceContext:
        """What all blocks need to know of the batch."""
        return sequence_context(tokens_BT, self.config.attention, self.separator_id)

    def _trunk(self, tokens_BT: Tensor, context: SequenceContext) -> tuple[Tensor, Tensor]:
        """What leaves the last block [B, T, C], and the auxiliary loss of all blocks."""
        embedding_BTC = self.embed(tokens_BT)
        x_BTC, auxiliary = embedding_BTC, embedding_BTC.new_zeros((), dtype=torch.float32)
        entered: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            x_BTC = self.connections(layer, x_BTC, embedding_BTC, entered)
            x_BTC, layer_auxiliary = block(x_BTC, context)
            auxiliary = auxiliary + layer_auxiliary
        return x_BTC, auxiliary

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """What enters the first block, [B, T, C] in the format of the stream."""
        embedding_BTC: Tensor = self.embedding(tokens_BT)
        if self.smearing is not None:
            embedding_BTC = self.smearing(embedding_BTC, tokens_BT)
        dropped_BTC: Tensor = self.dropout(embedding_BTC)
        return dropped_BTC.to(stream_format(dropped_BTC))

    def prediction_loss(self, x_BTC: Tensor, tokens_BT: Tensor, ahead: int) -> Tensor:
        """Mean loss, in nats, of predicting from each position the token `ahead` of it."""
        targets_BT = F.pad(tokens_BT[:, ahead:], (0, ahead), value=IGNORED)
        return linear_cross_entropy(
            self.dropout(self.norm(x_BTC)).flatten(0, 1),
            self.head.weight,
            targets_BT.flatten(),
            self.config.logit_soft_cap,
        )


def _routers(module: nn.Module) -> list[TopKRouter]:
    """The routers in a module, in order of their layers."""
    return [part for part in module.modules() if isinstance(part, TopKRouter)]


def _draw_matrices(module: nn.Module, std: float) -> None:
    """Draw every matrix from a normal distribution, in the order of `named_parameters`."""
    for parameter in module.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=std)
