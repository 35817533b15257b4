"""Small models with every setting that changes their size, alone and together."""

from core.schema.model_config import (
    AttentionConfig,
    FeedForwardConfig,
    LatentAttentionConfig,
    ModelConfig,
)

LATENT = LatentAttentionConfig(kv_rank=16, rotary_head_dim=4, plain_head_dim=6, value_head_dim=10)


def attention(**changes):
    return AttentionConfig(**{"num_heads": 4, **changes})


def feed_forward(**changes):
    sizes = {"hidden_size": 24, "dense_hidden_size": 40, "num_experts": 4}
    return FeedForwardConfig(**{**sizes, **changes})


def model(**changes):
    settings = {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_layers": 3,
        "dropout": 0.0,
        "attention": attention(),
        "feed_forward": feed_forward(),
    }
    return ModelConfig(**{**settings, **changes})


MODELS = {
    "default": model(),
    "untied": model(tie_embeddings=False),
    "post": model(norm_placement="post"),
    "sandwich": model(norm_placement="sandwich"),
    "embedding_norm": model(embedding_norm=True, embedding_scale=2.0),
    "embedding_mix": model(embedding_mix=True),
    "skips": model(skip_connections=True),
    "skips_of_four_layers": model(skip_connections=True, num_layers=4),
    "smearing": model(token_smearing=True),
    "extra_predictions": model(extra_predictions=2),
    "soft_cap": model(logit_soft_cap=15.0),
    "qk_norm": model(attention=attention(qk_norm=True)),
    "grouped_heads": model(attention=attention(query_heads_per_kv_head=2)),
    "separate": model(attention=attention(projections="separate", query_heads_per_kv_head=4)),
    "partial_rotary": model(attention=attention(rotary_fraction=0.5)),
    "window": model(attention=attention(window_pattern=(4, 0))),
    "documents": model(attention=attention(document_masking=True)),
    "head_gate": model(attention=attention(output_gate="head")),
    "channel_gate": model(attention=attention(output_gate="channel")),
    "value_embeddings": model(
        attention=attention(value_embedding_pattern=(True, False), query_heads_per_kv_head=2)
    ),
    "latent": model(attention=attention(kind="latent", latent=LATENT)),
    "latent_with_all": model(
        attention=attention(
            kind="latent",
            latent=LATENT,
            qk_norm=True,
            output_gate="channel",
            value_embedding_pattern=(True,),
        )
    ),
    "dense": model(feed_forward=feed_forward(layer_pattern=("dense",))),
    "dense_swiglu": model(
        feed_forward=feed_forward(layer_pattern=("dense", "experts"), activation="swiglu")
    ),
    "swiglu": model(feed_forward=feed_forward(activation="swiglu")),
    "shared": model(feed_forward=feed_forward(shared_experts=2)),
    "shared_swiglu": model(feed_forward=feed_forward(shared_experts=1, activation="swiglu")),
    "zero_compute": model(
        feed_forward=feed_forward(zero_compute_experts=2, zero_compute_kind="copy")
    ),
    "bias_balancing": model(
        feed_forward=feed_forward(router_scores="sigmoid", balancing="bias", experts_per_token=3)
    ),
    "all_together": model(
        tie_embeddings=False,
        norm_placement="sandwich",
        embedding_mix=True,
        skip_connections=True,
        token_smearing=True,
        extra_predictions=1,
        attention=attention(
            qk_norm=True,
            query_heads_per_kv_head=2,
            projections="separate",
            window_pattern=(4, 0, 8),
            output_gate="channel",
            value_embedding_pattern=(False, True),
        ),
        feed_forward=feed_forward(
            layer_pattern=("dense", "experts"),
            activation="swiglu",
            shared_experts=1,
            zero_compute_experts=3,
        ),
    ),
}
