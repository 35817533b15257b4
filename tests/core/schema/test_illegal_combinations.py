"""Settings that are each allowed and do not go together, as `runner check` refuses them."""

import pytest
import yaml

from core.errors import InvalidInput
from core.proposal import propose, read_submission
from core.tracks import load_tracks

TRACKS = load_tracks()


def refusal(overrides, track="gpu_24gb"):
    header = {"track": track, "name": "Not both", "author": "ada", "hypothesis": "It is refused."}
    document = yaml.safe_dump(header | {"overrides": overrides}, sort_keys=False)
    with pytest.raises(InvalidInput) as error:
        propose(read_submission(document, TRACKS), TRACKS)
    (problem,) = error.value.problems
    # `overrides` stands in line 5.
    assert problem.line is not None
    assert problem.line >= 5
    return f"{problem.path}: {problem.message}"


ATTENTION = [
    (
        {"window_pattern": [64, -1]},
        "window_pattern [64, -1] must hold numbers of tokens from 1, or 0 for all",
    ),
    ({"query_heads_per_kv_head": 3}, "num_heads 8 must be a multiple of query_heads_per_kv_head 3"),
    (
        {"kind": "latent", "query_heads_per_kv_head": 2},
        "query_heads_per_kv_head 2 is for kind multi_head alone; latent attention has its own "
        "keys and positions, so leave it at 1",
    ),
    (
        {"kind": "latent", "projections": "separate"},
        "projections separate is for kind multi_head alone; latent attention has its own keys "
        "and positions, so leave it at merged",
    ),
    (
        {"kind": "latent", "rotary_fraction": 0.5},
        "rotary_fraction 0.5 is for kind multi_head alone; latent attention has its own keys and "
        "positions, so leave it at 1.0",
    ),
]

MODEL = [
    ({"attention.num_heads": 6}, "hidden_size 512 must be a multiple of attention.num_heads 6"),
    (
        {"hidden_size": 520},
        "the head size hidden_size / attention.num_heads = 65 must be even, because rotary "
        "positions turn channels in pairs",
    ),
    (
        {"attention.window_pattern": [256]},
        "dropout 0.1 cannot go with attention.window_pattern or attention.document_masking: "
        "attention under such masks has no dropout; set dropout to 0",
    ),
    (
        {"attention.document_masking": True},
        "dropout 0.1 cannot go with attention.window_pattern or attention.document_masking: "
        "attention under such masks has no dropout; set dropout to 0",
    ),
    (
        {"zero_init_projections": True, "norm_placement": "sandwich"},
        "zero_init_projections cannot go with norm_placement sandwich: a norm of zeros multiplies "
        "the first gradients a thousandfold; use pre or post",
    ),
    (
        {"skip_connections": True, "num_layers": 1},
        "skip_connections needs num_layers of at least 2, here 1",
    ),
]

TRAINING = [
    (
        {"batch_size": 8001},
        "batch_size × sequence_length = 8193024 tokens must be at most tokens 8192000, so that "
        "there is one step",
    ),
    (
        {
            "batch_size_stages": [
                {"from_fraction": 0.5, "batch_size": 32},
                {"from_fraction": 0.4, "batch_size": 64},
            ]
        },
        "batch_size_stages: from_fraction must rise from stage to stage; here [0.5, 0.4]",
    ),
    (
        {"gradient_accumulation_steps": 3},
        "batch_size 16 must be a multiple of gradient_accumulation_steps 3",
    ),
    (
        {
            "gradient_accumulation_steps": 16,
            "batch_size_stages": [{"from_fraction": 0.5, "batch_size": 24}],
        },
        "batch_size 24 must be a multiple of gradient_accumulation_steps 16",
    ),
    (
        {"sequence_length_stages": [{"from_fraction": 0.5, "sequence_length": 1000}]},
        "sequence_length 1000 must divide the longest, 1024",
    ),
    (
        {
            "batch_size": 15,
            "sequence_length_stages": [{"from_fraction": 0.5, "sequence_length": 2048}],
        },
        "batch_size 15 × sequence_length 1024 must be a multiple of the longest sequence length "
        "2048",
    ),
    (
        {"weights": "bfloat16", "precision": "float32"},
        "weights bfloat16 needs precision bfloat16; float32 products of bfloat16 weights gain "
        "nothing",
    ),
]


@pytest.mark.parametrize(("settings", "message"), ATTENTION)
def test_attention_names_what_does_not_go_together(settings, message):
    assert refusal({"model": {"attention": settings}}) == f"model.attention: {message}."


@pytest.mark.parametrize(("settings", "message"), MODEL)
def test_the_model_names_what_does_not_go_together(settings, message):
    assert refusal({"model": settings}) == f"model: {message}."


@pytest.mark.parametrize(("settings", "message"), TRAINING)
def test_training_names_what_does_not_go_together(settings, message):
    assert refusal({"training": settings}) == f"training: {message}."


def test_a_token_cannot_choose_more_experts_than_there_are():
    message = "experts_per_token 9 must be at most num_experts + zero_compute_experts = 8"
    settings = {"experts_per_token": 9}
    assert refusal({"model.feed_forward": settings}) == f"model.feed_forward: {message}."


def test_warm_up_and_decay_share_the_budget():
    settings = {"kind": "warmup_stable_decay", "warmup_fraction": 0.3, "decay_fraction": 0.8}
    message = "warmup_fraction 0.3 + decay_fraction 0.8 must be at most 1"
    assert refusal({"schedule": settings}) == f"schedule: {message}."


def test_a_tied_head_has_no_rate_of_its_own():
    message = (
        ": optimizer.adamw.head_rate_ratio 2.0 needs model.tie_embeddings false: a tied output "
        "matrix learns as the embedding."
    )
    assert refusal({"optimizer.adamw.head_rate_ratio": 2.0}) == message


@pytest.mark.parametrize(
    ("settings", "given"),
    [
        ({"tokens": 0}, "none"),
        ({"dollars": 0.5}, "tokens and dollars"),
        ({"steps": 5}, "tokens and steps"),
    ],
)
def test_a_budget_has_one_unit(settings, given):
    message = f"exactly one of tokens, steps and dollars must be above 0; here {given}"
    assert refusal({"training": settings}, "fifty_cent") == f"training: {message}."
