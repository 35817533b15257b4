import pytest
import torch

from core.estimate import memory
from core.estimate.activations import kept_bytes_per_token
from core.estimate.memory import EVALUATION_TOKENS, WORKSPACE_BYTES, peak_memory
from core.eval.language_modeling import validation_batch_size
from core.schema.overrides import resolve
from core.schema.track import GIB
from core.tracks import load_tracks
from tests.core.estimate.configs import attention, feed_forward, model

BASE = load_tracks()["gpu_24gb"].base


def base(**overrides):
    return resolve(BASE, {name.replace("__", "."): value for name, value in overrides.items()})


def test_what_a_plain_block_keeps_worked_by_hand():
    # Bytes a token, 32 channels, 4 heads, 4 experts of 24 channels, 2 visited.
    stream = 2 * 32 * 2 + 2 * 4
    attended = 2 * (32 + 3 * 32 + 32 + 32 + 32) + 4 * 4
    experts = 2 * 32 + 2 * (2 * 2 * 32 + 2 * 2 * 24) + 4 * (4 + 2)
    end = 32 * (2 + 2)
    assert kept_bytes_per_token(model(), 2) == 3 * (stream + attended + experts) + end


def kept_more(width=2, **changes):
    """Bytes a token and layer that a setting adds, in a model of one layer."""
    changed = kept_bytes_per_token(model(num_layers=1, **changes), width)
    return changed - kept_bytes_per_token(model(num_layers=1), width)


def test_shared_key_heads_keep_less():
    # Keys and values of 8 instead of 32 channels: in the product, and the rotated keys.
    grouped = attention(query_heads_per_kv_head=4)
    assert kept_more(attention=grouped) == -2 * 3 * 24


def test_separate_products_let_go_of_queries_and_keys_unless_norms_need_them():
    assert kept_more(attention=attention(projections="separate")) == -2 * 64
    assert kept_more(attention=attention(projections="separate", qk_norm=True)) == 0


def test_a_gated_non_linearity_keeps_twice_the_input():
    assert kept_more(feed_forward=feed_forward(activation="swiglu")) == 2 * 2 * 24


def test_dropout_keeps_masks_where_it_does_not_draw_them_again():
    # Two masks of the stream, two outside the blocks.
    assert kept_more(dropout=0.1) == 4 * 32
    gated = feed_forward(activation="swiglu")
    masked = kept_more(dropout=0.1, feed_forward=gated) - kept_more(feed_forward=gated)
    assert masked == 4 * 32 + 2 * 24


def test_parts_sum_to_the_peak():
    moment = peak_memory(BASE)
    parts = moment._asdict().values()
    assert moment.total == pytest.approx(sum(parts))
    assert moment.weights == 4 * 167_813_632
    # Muon's 8 × (4 × 512² + 8 × 2 × 512 × 2,048) weights have one state, all others two.
    assert moment.optimizer_state == 4 * (142_606_336 + 2 * 25_207_296)
    assert moment.workspace == WORKSPACE_BYTES


def test_bfloat16_weights_halve_weights_and_state_and_need_no_copies():
    whole, half = peak_memory(BASE), peak_memory(base(training__weights="bfloat16"))
    assert half.weights == whole.weights / 2
    assert half.optimizer_state == whole.optimizer_state / 2
    assert (whole.weight_copies > 0, half.weight_copies) == (True, 0)


def test_the_moving_average_is_float32_whatever_the_weights_are():
    plain = peak_memory(base(training__weights="bfloat16"))
    averaged = peak_memory(base(training__weights="bfloat16", optimizer__ema_decay=0.99))
    assert averaged.weights - plain.weights == 4 * 167_813_632


def test_accumulation_quarters_activations_and_keeps_gradients():
    whole = peak_memory(BASE)
    parts = peak_memory(base(training__gradient_accumulation_steps=4))
    assert parts.activations == whole.activations / 4
    assert (whole.gradients, parts.gradients) == (0, 4 * 167_813_632)


def test_the_largest_stage_decides():
    stages = [{"from_fraction": 0.5, "batch_size": 32}]
    late = peak_memory(base(training__batch_size_stages=stages))
    assert late.total == peak_memory(base(training__batch_size=32)).total


def test_a_small_batch_is_fullest_at_the_update():
    moment = peak_memory(base(training__batch_size=1, training__sequence_length=128))
    assert moment.gradients == 4 * 167_813_632
    assert moment.update > 0


def test_logits_exist_for_one_chunk_of_tokens(monkeypatch):
    chunked = peak_memory(BASE).loss
    monkeypatch.setattr(memory, "LOSS_CHUNK_TOKENS", memory.LOSS_CHUNK_TOKENS // 2)
    halved = peak_memory(BASE).loss
    assert chunked - halved == 2 * memory.LOSS_CHUNK_TOKENS * 49_152


def test_evaluation_scores_as_many_tokens_as_it_says():
    assert validation_batch_size(10**6, 1, torch.device("cuda")) == EVALUATION_TOKENS


SMALL_STEPS = {
    "model__dropout": 0.0,
    "model__attention__qk_norm": True,
    "model__logit_soft_cap": 15.0,
    "model__zero_init_projections": True,
    "training__batch_size": 8,
}
CONNECTED = SMALL_STEPS | {
    "model__token_smearing": True,
    "model__embedding_mix": True,
    "model__skip_connections": True,
}
VALUES_IN_THREE_LAYERS = (True, False, False, False, False, False, True, True)
# Of a step without chance in twelve parts, 32 times as large a model.
LARGE = {
    "model__dropout": 0.0,
    "model__feed_forward__router_noise": 0.0,
    "training__gradient_accumulation_steps": 12,
}


EVERYTHING = CONNECTED | {
    "model__attention__num_heads": 4,
    "model__attention__document_masking": True,
    "model__attention__output_gate": "head",
    "model__attention__value_embedding_pattern": VALUES_IN_THREE_LAYERS,
    "optimizer__muon__neuron_norm": True,
}


@pytest.mark.parametrize(
    ("track", "changes", "measured_gib"),
    [
        ("gpu_24gb", SMALL_STEPS, 4.60),
        ("gpu_24gb", SMALL_STEPS | {"training__batch_size": 4}, 3.27),
        ("gpu_24gb", SMALL_STEPS | {"model__tie_embeddings": False}, 4.88),
        (
            "gpu_24gb",
            SMALL_STEPS
            | {
                "model__feed_forward__activation": "swiglu",
                "model__feed_forward__hidden_size": 1360,
            },
            4.63,
        ),
        (
            "gpu_24gb",
            SMALL_STEPS | {"model__attention__value_embedding_pattern": VALUES_IN_THREE_LAYERS},
            5.52,
        ),
        ("gpu_24gb", SMALL_STEPS | {"model__attention__document_masking": True}, 4.61),
        ("gpu_24gb", SMALL_STEPS | {"optimizer__muon__neuron_norm": True}, 4.61),
        ("gpu_24gb", CONNECTED, 4.68),
        ("gpu_24gb", CONNECTED | {"model__attention__output_gate": "head"}, 4.75),
        ("gpu_24gb", CONNECTED | {"model__attention__num_heads": 4}, 4.69),
        ("gpu_24gb", {}, 6.65),
        ("gpu_24gb", EVERYTHING, 5.57),
        ("h100_3b", LARGE, 47.27),
    ],
)
def test_peaks_are_within_a_tenth_of_what_was_measured(track, changes, measured_gib):
    # On an H200, the last two of `gpu_24gb` on an H100: docs/measurement.md.
    overrides = {name.replace("__", "."): value for name, value in changes.items()}
    peak = peak_memory(resolve(load_tracks()[track].base, overrides)).total
    assert peak / GIB == pytest.approx(measured_gib, rel=0.1)
