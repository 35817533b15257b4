import pytest
import torch
from safetensors.torch import load_file, save_file

from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.train.model_state import build_model, load_model_state, model_state

SETTINGS = {
    "model.hidden_size": 32,
    "model.feed_forward.hidden_size": 32,
    "model.feed_forward.balancing": "bias",
}


def build(**changes):
    return build_model(resolve(load_tracks()["debug"].base, SETTINGS | changes), 1, 5)


def test_the_state_has_parameters_and_learned_buffers_but_nothing_computed():
    model = build()
    state = model_state(model)
    parameters = {name for name, _ in model.named_parameters()}
    assert set(state) - parameters == {
        f"blocks.{layer}.feed_forward.router.bias_E" for layer in range(2)
    }
    assert parameters < set(state)


@pytest.mark.parametrize("tied", [True, False])
def test_the_state_survives_a_safetensors_file(tied, tmp_path):
    model = build(**{"model.tie_embeddings": tied})
    with torch.no_grad():
        model.blocks[1].feed_forward.router.bias_E.fill_(0.25)
    save_file(model_state(model), tmp_path / "model.safetensors")
    other = build(**{"model.tie_embeddings": tied, "model.init_std": 0.5})
    load_model_state(other, load_file(tmp_path / "model.safetensors"))
    expected, actual = model.state_dict(), other.state_dict()
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    assert (other.head.weight is other.embedding.weight) == tied


def test_bfloat16_weights_are_the_rounded_ones_and_buffers_stay_float32():
    wide = build(**{"training.precision": "bfloat16"})
    narrow = build(**{"training.precision": "bfloat16", "training.weights": "bfloat16"})
    for name, parameter in wide.named_parameters():
        assert torch.equal(narrow.get_parameter(name), parameter.bfloat16())
    assert narrow.blocks[0].feed_forward.router.bias_E.dtype == torch.float32
    assert narrow.head.weight is narrow.embedding.weight


def test_the_model_knows_the_separator_and_the_longest_sequence():
    stages = [{"from_fraction": 0.5, "sequence_length": 256}]
    model = build(**{"training.sequence_length_stages": stages})
    assert model.separator_id == 5
    model.eval()(torch.zeros(1, 256, dtype=torch.int64))
