"""Peak memory of a CUDA device while training: what PyTorch allocates, without the driver's own.

A sum of parts, at the fullest moment of a step. `docs/measurement.md` compares it with measured
runs.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from core.estimate.activations import kept_bytes_per_token, working_bytes_per_token
from core.estimate.matrices import hidden_matrices
from core.estimate.parameters import num_hidden_weights, num_other_weights
from core.kernels.sizes import LOSS_CHUNK_TOKENS
from core.schema.experiment import ExperimentConfig
from core.schema.model_config import ModelConfig
from core.training_plan import shapes

WORKSPACE_BYTES = 100 * 2**20
"""What libraries hold and small tensors take, whatever the config; fitted to measured peaks."""
MUON_BYTES_PER_WEIGHT = 6
"""Bfloat16 copies of a stack of matrices while it is orthogonalised: what an iteration takes,
what it gives, and what is made of both."""
MEMORY_SPREAD = 1.1
"""Factor either way: a test holds the measured peaks within ten per cent."""
EVALUATION_TOKENS = 8192
"""Tokens that are scored at once."""
FLOAT32 = 4
"""Bytes of a float32 number."""


class Moment(NamedTuple):
    """What is held at one moment of a step, in bytes."""

    weights: float = 0.0
    """Parameters, their moving average and what it displaces."""
    optimizer_state: float = 0.0
    """Momenta, and AdamW's second moments."""
    gradients: float = 0.0
    """Of the parameters."""
    weight_copies: float = 0.0
    """Weights in the number format of the matrix products."""
    activations: float = 0.0
    """Kept for the backward pass, or at work in it."""
    loss: float = 0.0
    """Logits that exist at once, and gradients of the output matrix and of its input."""
    update: float = 0.0
    """Working copies of the optimizers."""
    workspace: float = WORKSPACE_BYTES
    """What libraries hold."""

    @property
    def total(self) -> float:
        """All parts."""
        return sum(self)


def peak_memory(experiment: ExperimentConfig) -> Moment:
    """The fullest moment of training, over all shapes of its steps."""
    largest = max(shape.tokens for shape in shapes(experiment.training))
    tokens = largest // experiment.training.gradient_accumulation_steps
    return max(_moments(experiment, tokens), key=lambda moment: moment.total)


def _moments(experiment: ExperimentConfig, tokens: int) -> Iterator[Moment]:
    """The moments of a step that can be the fullest.

    Args:
        tokens: tokens whose activations exist at once.
    """
    model, training = experiment.model, experiment.training
    hidden, other = num_hidden_weights(model), num_other_weights(model)
    width = 2 if training.precision == "bfloat16" else FLOAT32
    weight = 2 if training.weights == "bfloat16" else FLOAT32
    weights = weight * (hidden + other)
    average = FLOAT32 * (hidden + other) if experiment.optimizer.ema_decay else 0
    always = Moment(weights=weights + average, optimizer_state=weight * (hidden + 2 * other))
    working = tokens * working_bytes_per_token(model, width)
    full = always._replace(
        gradients=weights if training.gradient_accumulation_steps > 1 else 0,
        weight_copies=width * hidden if width < weight else 0,
        activations=tokens * kept_bytes_per_token(model, width),
    )
    # The last loss of the forward pass, and the first block of the backward pass.
    yield full._replace(loss=_loss_bytes(model, tokens, width))
    gradients = _loss_gradient_bytes(model, tokens, width, weight)
    yield full._replace(activations=full.activations + working, loss=gradients)
    # The last block of the backward pass, and the update.
    yield always._replace(gradients=weights, activations=working)
    temporary = 0 if experiment.optimizer.adamw.fused else 2 * weight * other
    yield always._replace(gradients=weights, update=max(_muon_bytes(model), temporary))
    # Evaluation, for which a moving average takes the place of the weights.
    yield always._replace(
        weights=always.weights + average,
        activations=EVALUATION_TOKENS * working_bytes_per_token(model, width),
        loss=_score_bytes(model, width),
    )


def _loss_bytes(model: ModelConfig, tokens: int, width: int) -> float:
    """While the last loss is computed; those of extra predictions keep their gradients."""
    head = model.vocab_size * model.hidden_size
    if width == FLOAT32:
        # The plain operations keep the logits of every prediction.
        return (1 + model.extra_predictions) * tokens * model.vocab_size * width
    chunk = min(tokens, LOSS_CHUNK_TOKENS)
    earlier = model.extra_predictions * (width * tokens * model.hidden_size + FLOAT32 * head)
    input_gradient = width * tokens * model.hidden_size
    # Two sums of the chunks' weight gradients, because adding to one gives a new one.
    accumulated = 2 * FLOAT32 * head
    return earlier + width * (head + chunk * model.vocab_size) + input_gradient + accumulated


def _loss_gradient_bytes(model: ModelConfig, tokens: int, width: int, weight: int) -> float:
    """Gradients of the output matrix and of its input, which the losses leave behind."""
    head = weight * model.vocab_size * model.hidden_size
    if width == FLOAT32:
        return head
    return (1 + model.extra_predictions) * (width * tokens * model.hidden_size + head)


def _score_bytes(model: ModelConfig, width: int) -> float:
    """Logits while scoring, which the plain operations have all at once."""
    chunk = EVALUATION_TOKENS if width == FLOAT32 else LOSS_CHUNK_TOKENS
    return width * model.vocab_size * (chunk + model.hidden_size)


def _muon_bytes(model: ModelConfig) -> float:
    """Working memory of the largest stack: matrices of one shape are orthogonalised together."""
    stacks: dict[tuple[int, int], float] = defaultdict(float)
    for matrix in hidden_matrices(model):
        sizes = (matrix.num_outputs, matrix.num_inputs)
        weights_and_products = matrix.num_stored_weights + matrix.num_stored * min(sizes) ** 2
        stacks[sizes] += MUON_BYTES_PER_WEIGHT * weights_and_products
    return max(stacks.values())
