"""A gain of several settings, confirmed, with the ablations that follow still in the queue."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.testclient import TestClient

from core.schema.job import JobOffer
from tests.server.boards import BASELINE_LOSSES
from tests.server.factories import claim, finish, register, submit

DROPOUT = {"model.dropout": 0.1}
GAIN = [1.5, 1.505, 1.495, 1.5, 1.5]
"""Losses by seed, far below the baseline's 2.0 ± 0.01."""
WITHOUT = {
    "Gain without model.attention.qk_norm": [1.52],
    "Gain without model.dropout": [1.4],
    "Gain without model.feed_forward.activation": [1.7],
}
"""Losses of a gain by QK-norm, dropout and squared ReLU without each of them."""


def work(client: TestClient, losses: Mapping[str, Sequence[float]], runs: int) -> list[JobOffer]:
    """Claim and finish so many jobs, with the losses that the runs of that name have by seed."""
    done = []
    for _ in range(runs):
        offer = claim(client, register(client))
        assert offer is not None
        name = client.get(f"/api/v1/runs/{offer.run.run_id}").json()["name"]
        finish(client, offer, losses[name][(offer.run.seed - 1000) % len(losses[name])])
        done.append(offer)
    return done


def confirm(client: TestClient, overrides: Mapping[str, Any], runs: int = 8) -> str:
    """Submit `Gain`, and finish its three runs and the baseline's five; its id."""
    receipt = submit(client, "Gain", overrides)
    work(client, {"Baseline": BASELINE_LOSSES, "Gain": GAIN}, runs)
    return receipt.submission_id
