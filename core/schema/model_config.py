"""Settings of the network, with their bounds and units.

A pattern is a tuple that is repeated over the layers: entry i modulo its length is layer i's.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from core.schema.base import Config

FeedForwardKind = Literal["experts", "dense"]


class LatentAttentionConfig(Config):
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1)."""

    kv_rank: int = Field(default=64, ge=8, le=4096)
    """Width of the compressed keys and values, in channels."""
    rotary_head_dim: int = Field(default=32, ge=2, le=256, multiple_of=2)
    """Channels of a head that carry the rotary position; even."""
    plain_head_dim: int = Field(default=128, ge=0, le=256)
    """Channels of a query or key head without position."""
    value_head_dim: int = Field(default=128, ge=1, le=256)
    """Channels of a value head."""


class AttentionConfig(Config):
    """Causal self-attention."""

    kind: Literal["multi_head", "latent"] = "multi_head"
    """`multi_head` (arXiv:1706.03762) or `latent` (arXiv:2405.04434)."""
    num_heads: int = Field(default=8, ge=1, le=256)
    """Attention heads."""
    query_heads_per_kv_head: int = Field(default=1, ge=1, le=256)
    """Query heads that share one key and value head (arXiv:2305.13245); divides `num_heads`."""
    projections: Literal["merged", "separate"] = "merged"
    """Whether queries, keys and values are one matrix, which Muon updates as one, or three."""
    rotary_base: float = Field(default=10_000.0, ge=10.0, le=1e8)
    """Base of the rotary frequencies (RoFormer, arXiv:2104.09864)."""
    rotary_fraction: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of a head's channels that carry the position (GPT-NeoX, arXiv:2204.06745), rounded
    down to an even number, at least 2."""
    qk_norm: bool = False
    """RMS-normalise each query and key head before the rotation (arXiv:2302.05442)."""
    window_pattern: tuple[int, ...] = Field(default=(0,), min_length=1, max_length=256)
    """Pattern of how many tokens a position sees, itself included (arXiv:2004.05150); 0 is all."""
    document_masking: bool = False
    """A token sees its own document alone; the separator ends a document."""
    output_gate: Literal["none", "head", "channel"] = "none"
    """Sigmoid gate on the attended values, one a head or one a channel (arXiv:2505.06708)."""
    value_embedding_pattern: tuple[bool, ...] = Field(
        default=(False,), min_length=1, max_length=256
    )
    """Pattern of the layers that add a learned embedding of the token to their values, weighted
    by a learned scalar that starts at 0.5; each has its own table (modded-nanogpt)."""
    latent: LatentAttentionConfig = LatentAttentionConfig()
    """Sizes for `kind: latent`."""

    def window(self, layer: int) -> int:
        """Tokens that a position of this layer sees; 0 is all before it."""
        return self.window_pattern[layer % len(self.window_pattern)]

    def has_value_embedding(self, layer: int) -> bool:
        """Whether this layer has a table of value embeddings."""
        return self.value_embedding_pattern[layer % len(self.value_embedding_pattern)]

    @property
    def is_masked(self) -> bool:
        """Whether any layer hides more than the future."""
        return self.document_masking or any(self.window_pattern)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if any(window < 0 for window in self.window_pattern):
            raise ValueError(
                f"window_pattern {list(self.window_pattern)} must hold numbers of tokens from 1, "
                "or 0 for all"
            )
        if self.num_heads % self.query_heads_per_kv_head:
            raise ValueError(
                f"num_heads {self.num_heads} must be a multiple of query_heads_per_kv_head "
                f"{self.query_heads_per_kv_head}"
            )
        if self.kind == "latent":
            for name, value, plain in (
                ("query_heads_per_kv_head", self.query_heads_per_kv_head, 1),
                ("projections", self.projections, "merged"),
                ("rotary_fraction", self.rotary_fraction, 1.0),
            ):
                if value != plain:
                    raise ValueError(
                        f"{name} {value} is for kind multi_head alone; latent attention has its "
                        f"own keys and positions, so leave it at {plain}"
                    )
        return self


class FeedForwardConfig(Config):
    """Mixture of experts with a top-k router, or one dense network, per layer."""

    layer_pattern: tuple[FeedForwardKind, ...] = Field(
        default=("experts",), min_length=1, max_length=256
    )
    """Pattern of the layers' kinds: `experts` or `dense`."""
    hidden_size: int = Field(default=2048, ge=8, le=65_536)
    """Width of one expert, in channels."""
    dense_hidden_size: int = Field(default=4096, ge=8, le=262_144)
    """Width of a dense layer, in channels."""
    activation: Literal["silu", "gelu", "squared_relu", "swiglu"] = "silu"
    """Non-linearity; `squared_relu` is arXiv:2109.08668; `swiglu` (arXiv:2002.05202) has a third
    matrix, a gate."""
    num_experts: int = Field(default=8, ge=1, le=256)
    """Experts in a layer, of which the router chooses."""
    experts_per_token: int = Field(default=2, ge=1, le=16)
    """Experts that each token visits; at most `num_experts` + `zero_compute_experts`."""
    shared_experts: int = Field(default=0, ge=0, le=16)
    """Experts that every token visits besides, unweighted (DeepSeekMoE, arXiv:2401.06066)."""
    zero_compute_experts: int = Field(default=0, ge=0, le=256)
    """Further choices of the router that compute nothing (MoE++, arXiv:2410.07348)."""
    zero_compute_kind: Literal["zero", "copy"] = "zero"
    """What a zero-compute expert returns: nothing, or the token as it came."""
    router_scores: Literal["softmax", "sigmoid"] = "softmax"
    """How logits of the chosen become weights: softmax over them, or sigmoids divided by their
    sum (DeepSeek-V3, arXiv:2412.19437)."""
    router_noise: float = Field(default=0.1, ge=0.0, le=10.0)
    """Standard deviation of the noise on router logits while training."""
    balancing: Literal["loss", "bias"] = "loss"
    """What evens the experts' shares: a loss, or a bias on the choice alone (arXiv:2408.15664)."""
    load_balancing_weight: float = Field(default=0.01, ge=0.0, le=10.0)
    """Weight of the loss, for `balancing: loss` (Switch Transformer, arXiv:2101.03961, eq. 4)."""
    bias_update_rate: float = Field(default=0.001, gt=0.0, le=1.0)
    """Change of an expert's bias in a step, for `balancing: bias`."""
    router_z_loss_weight: float = Field(default=0.0, ge=0.0, le=1.0)
    """Weight of the squared log-sum-exp of router logits (ST-MoE, arXiv:2202.08906, eq. 5)."""

    @property
    def num_choices(self) -> int:
        """Logits of the router."""
        return self.num_experts + self.zero_compute_experts

    def kind(self, layer: int) -> FeedForwardKind:
        """What this layer is."""
        return self.layer_pattern[layer % len(self.layer_pattern)]

    @model_validator(mode="after")
    def _choices_fit(self) -> Self:
        if self.experts_per_token > self.num_choices:
            raise ValueError(
                f"experts_per_token {self.experts_per_token} must be at most num_experts + "
                f"zero_compute_experts = {self.num_choices}"
            )
        return self


class ModelConfig(Config):
    """A decoder-only transformer."""

    vocab_size: int = Field(ge=2, le=1_000_000)
    """Entries of the embedding; at least the tokenizer's size."""
    hidden_size: int = Field(default=512, ge=8, le=16_384)
    """Width of the residual stream, in channels."""
    num_layers: int = Field(default=8, ge=1, le=256)
    """Transformer blocks."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Probability that a channel is dropped while training."""
    tie_embeddings: bool = True
    """Use the token embedding as the output matrix."""
    init_std: float = Field(default=0.02, gt=0.0, le=1.0)
    """Standard deviation of the normal initialisation."""
    zero_init_projections: bool = False
    """Start the last matrix of attention and of feed-forward at zero (arXiv:2203.03466)."""
    norm_placement: Literal["pre", "post", "sandwich"] = "pre"
    """RMS norm before each sublayer, after its sum with the stream (arXiv:1706.03762), or before
    the sublayer and after it (arXiv:2408.00118)."""
    embedding_scale: float = Field(default=1.0, gt=0.0, le=1000.0)
    """Factor on the token embedding, beside sqrt(hidden_size)."""
    embedding_norm: bool = False
    """RMS-normalise the scaled token embedding."""
    embedding_mix: bool = False
    """Before each block, mix the stream with the embedding by two learned scalars that start at
    1 and 0 (modded-nanogpt)."""
    skip_connections: bool = False
    """Add what entered layer i to what enters layer num_layers - 1 - i, for the first half of
    the layers, by a learned scalar that starts at 0 (U-Net, arXiv:1505.04597)."""
    token_smearing: bool = False
    """Add to each embedding a share of the one before it: a learned scalar times the sigmoid of
    the token's own embedding times a learned vector, both starting at 0 (modded-nanogpt)."""
    logit_soft_cap: float = Field(default=0.0, ge=0.0, le=1000.0)
    """Cap c in c × tanh(logits / c) (Gemma 2, arXiv:2408.00118); 0 is none."""
    extra_predictions: int = Field(default=0, ge=0, le=4)
    """Further tokens ahead that training predicts, each by its own block on the trunk's output
    and the shared head (arXiv:2404.19737); evaluation leaves them out."""
    extra_prediction_weight: float = Field(default=0.3, gt=0.0, le=1.0)
    """Weight of the loss of each further prediction."""
    attention: AttentionConfig = AttentionConfig()
    """Self-attention."""
    feed_forward: FeedForwardConfig = FeedForwardConfig()
    """Mixture of experts or dense layers."""

    @property
    def head_dim(self) -> int:
        """Channels of a query, key or value head of multi-head attention."""
        return self.hidden_size // self.attention.num_heads

    @property
    def rotary_dim(self) -> int:
        """Channels of a multi-head attention head that carry the position."""
        return max(2, int(self.head_dim * self.attention.rotary_fraction) // 2 * 2)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.attention.kind == "multi_head":
            self._check_heads()
        if self.dropout and self.attention.is_masked:
            raise ValueError(
                f"dropout {self.dropout} cannot go with attention.window_pattern or "
                "attention.document_masking: attention under such masks has no dropout; "
                "set dropout to 0"
            )
        if self.zero_init_projections and self.norm_placement == "sandwich":
            raise ValueError(
                "zero_init_projections cannot go with norm_placement sandwich: a norm of zeros "
                "multiplies the first gradients a thousandfold; use pre or post"
            )
        if self.skip_connections and self.num_layers < 2:
            raise ValueError("skip_connections needs num_layers of at least 2, here 1")
        return self

    def _check_heads(self) -> None:
        num_heads = self.attention.num_heads
        if self.hidden_size % num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of "
                f"attention.num_heads {num_heads}"
            )
        if self.head_dim % 2:
            raise ValueError(
                f"the head size hidden_size / attention.num_heads = {self.head_dim} must be even, "
                "because rotary positions turn channels in pairs"
            )
