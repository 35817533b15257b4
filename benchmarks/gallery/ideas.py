"""Made-up submissions, with settings as people try them."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Idea(NamedTuple):
    """What somebody submits."""

    name: str
    author: str
    hypothesis: str
    overrides: Mapping[str, Any]


QK_NORM = {"model.attention.qk_norm": True}
SQUARED_RELU = {"model.feed_forward.activation": "squared_relu"}

MEASURED = (
    Idea(
        "QK-norm",
        "ada",
        "Normalised queries and keys keep attention logits in range.",
        QK_NORM,
    ),
    Idea("Squared ReLU", "grace", "Sparser activations train faster.", SQUARED_RELU),
    Idea(
        "More dropout",
        "linus",
        "The corpus is small, so that dropout may stand in for data.",
        {"model.dropout": 0.1},
    ),
    Idea(
        "Zero-initialised projections",
        "emmy",
        "Each block starts as the identity, as in muP.",
        {"model.zero_init_projections": True},
    ),
    Idea(
        "A slightly higher learning rate",
        "sofia",
        "Muon takes larger steps than it is given.",
        {"optimizer.muon.learning_rate": 0.034},
    ),
    Idea(
        "Soft cap",
        "grace",
        "Capped logits spend no loss on certainty.",
        {"model.logit_soft_cap": 15.0},
    ),
    Idea(
        "QK-norm and zero init",
        "ada",
        "Both helped, and they touch different parts of a block.",
        {**QK_NORM, "model.zero_init_projections": True},
    ),
    Idea(
        "Token smearing, by a name that is as long as names may be and has to wrap",
        "Annamaria-Konstantinopoulou",
        "A position that sees the one before it needs no head for that.",
        {"model.token_smearing": True},
    ),
    Idea(
        "Squared ReLU, QK-norm, NorMuon",
        "emmy",
        "Three gains from three papers.\nIf they add up, this is the record.",
        {**QK_NORM, **SQUARED_RELU, "optimizer.muon.neuron_norm": True},
    ),
)
"""Run to their verdicts by a trusted worker."""
WITHDRAWN = Idea(
    "Longer warm-up", "linus", "Steadier at the start.", {"schedule.warmup_fraction": 0.2}
)
UNVERIFIED = Idea(
    "Sandwich norms", "niels", "A norm on both sides.", {"model.norm_placement": "sandwich"}
)
DIVERGES = Idea(
    "Ten times the rate",
    "linus",
    "How far can it go?",
    {"optimizer.muon.learning_rate": 0.3},
)
RUNNING = Idea("Embedding in every block", "ada", "Words get lost.", {"model.embedding_mix": True})
QUEUED = (
    Idea("NorMuon", "grace", "Norms for each neuron.", {"optimizer.muon.neuron_norm": True}),
    Idea("Untied embeddings", "emmy", "More weights.", {"model.tie_embeddings": False}),
    Idea(
        "Polar Express",
        "sofia",
        "Better coefficients.",
        {"optimizer.muon.coefficients": "polar_express"},
    ),
    Idea("Skip connections", "niels", "A shorter way.", {"model.skip_connections": True}),
)
