"""A run's model: how it is built, and all that it takes to put it back."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from core.model.transformer import Transformer
from core.schema.experiment import ExperimentConfig
from core.tensor_shares import copy_into


def build_model(experiment: ExperimentConfig, seed: int, separator_id: int) -> Transformer:
    """A model on the processor whose weights the seed decides, whatever device it moves to.

    Args:
        separator_id: the tokenizer's token that ends a document.
    """
    torch.manual_seed(seed)
    longest = max(experiment.training.row_length, experiment.evaluation.sequence_length)
    model = Transformer(experiment.model, longest, separator_id)
    if experiment.training.weights == "bfloat16":
        for parameter in model.parameters():
            # Buffers stay float32: a router's bias moves by less than bfloat16 can tell.
            parameter.data = parameter.data.bfloat16()
    return model


def model_state(model: Transformer) -> dict[str, Tensor]:
    """Parameters, a shared one once, and buffers that are not computed from the config."""
    kept = model.state_dict(keep_vars=True)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor.detach() for name, tensor in tensors.items() if name in kept}


def load_model_state(model: Transformer, state: Mapping[str, Tensor]) -> None:
    """Copy into a model what `model_state` returned; every name must be there."""
    with torch.no_grad():
        for name, tensor in model_state(model).items():
            copy_into(tensor, state[name])


def seed_process(seed: int, rank: int) -> None:
    """Give every process its own random numbers; the first one's go on as they are."""
    if rank:
        state = np.random.SeedSequence((seed, rank)).generate_state(1, np.uint64)
        torch.manual_seed(int(state[0]))


def random_states(device: torch.device) -> dict[str, Tensor]:
    """States of the generators that dropout and router noise draw from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(device: torch.device, states: dict[str, Tensor]) -> None:
    """Put back what `random_states` returned."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
