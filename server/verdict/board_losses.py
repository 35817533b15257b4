"""The validation losses of a board: what verdicts are taken from. Held runs are left out."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from server.tables import Run
from server.verdict.noise import Noise, pooled_noise


def experiment_losses(session: Session, experiment_hash: str, key: str) -> list[float]:
    """Losses of an experiment's runs, in the order of the track's seeds."""
    query = _losses(key).where(Run.experiment_hash == experiment_hash)
    return _by_experiment(session.exec(query)).get(experiment_hash, [])


def losses_by_experiment(session: Session, key: str) -> dict[str, list[float]]:
    """Losses of all experiments that have a result under a key, in the order of seeds."""
    return _by_experiment(session.exec(_losses(key)))


def losses_among(
    session: Session, key: str, experiments: Collection[str]
) -> dict[str, list[float]]:
    """Losses of those of some experiments that have a result under a key, in the order of seeds."""
    query = _losses(key).where(col(Run.experiment_hash).in_(experiments))
    return _by_experiment(session.exec(query))


def newest_losses(session: Session, experiment_hash: str) -> list[float]:
    """Losses of an experiment under the key of its newest result."""
    key = newest_key(session, experiment_hash)
    return experiment_losses(session, experiment_hash, key) if key else []


def newest_key(session: Session, experiment_hash: str) -> str | None:
    """The key of an experiment's newest result; None without one."""
    query = select(Run.comparability_key).where(Run.experiment_hash == experiment_hash)
    query = query.where(col(Run.comparability_key).is_not(None))
    return session.exec(query.order_by(col(Run.finished_at).desc()).limit(1)).one_or_none()


def board_noise(session: Session, key: str) -> Noise | None:
    """The noise of the board, pooled over every experiment that ran more than once."""
    repeated = (
        select(Run.experiment_hash)
        .where(Run.comparability_key == key, col(Run.val_loss).is_not(None))
        .group_by(col(Run.experiment_hash))
        .having(func.count() > 1)
    )
    query = _losses(key).where(col(Run.experiment_hash).in_(repeated))
    return pooled_noise(list(_by_experiment(session.exec(query)).values()))


def _losses(key: str) -> Any:
    return (
        select(Run.experiment_hash, Run.seed, Run.val_loss)
        .where(Run.comparability_key == key, col(Run.val_loss).is_not(None))
        .where(Run.held_reason == "")
        .order_by(col(Run.seed), col(Run.finished_at), col(Run.id))
    )


def _by_experiment(rows: Iterable[tuple[str, int, float | None]]) -> dict[str, list[float]]:
    """The losses, one for each seed: a seed that ran again says nothing of other seeds."""
    losses: dict[str, dict[int, float]] = {}
    for experiment_hash, seed, val_loss in rows:
        if val_loss is not None:
            losses.setdefault(experiment_hash, {}).setdefault(seed, val_loss)
    return {experiment: list(by_seed.values()) for experiment, by_seed in losses.items()}
