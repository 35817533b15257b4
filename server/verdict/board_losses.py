"""The validation losses of a board: what verdicts are taken from. Held runs are left out."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import bindparam, func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from core.schema.result import Verification
from server.tables import Run, table_of
from server.verdict.noise import Noise, Spread, pooled_noise, spread_of

RUN = table_of(Run)
OF_BOARD = (
    select_columns(RUN.c.experiment_hash, RUN.c.seed, RUN.c.val_loss)
    .where(RUN.c.comparability_key == bindparam("key"), RUN.c.val_loss.is_not(None))
    .where(RUN.c.held_reason == "")
    .order_by(RUN.c.seed, RUN.c.finished_at, RUN.c.id)
)
OF_EXPERIMENT = OF_BOARD.where(RUN.c.experiment_hash == bindparam("experiment_hash"))
OF_EXPERIMENTS = OF_BOARD.where(RUN.c.experiment_hash.in_(bindparam("experiments", expanding=True)))
IS_VERIFIED = RUN.c.verification != Verification.UNVERIFIED
VERIFIED_OF_EXPERIMENT = OF_EXPERIMENT.where(IS_VERIFIED)
VERIFIED_OF_EXPERIMENTS = OF_EXPERIMENTS.where(IS_VERIFIED)
TRUSTED_OF_BOARD = OF_BOARD.where(RUN.c.verification == Verification.TRUSTED)
VERIFIED_OF_REPEATED = OF_BOARD.where(
    IS_VERIFIED,
    RUN.c.experiment_hash.in_(
        select_columns(RUN.c.experiment_hash)
        .where(RUN.c.comparability_key == bindparam("key"), RUN.c.val_loss.is_not(None))
        .group_by(RUN.c.experiment_hash)
        .having(func.count() > 1)
    ),
)
"""The verified losses of experiments that ran more than once."""


def experiment_losses(session: Session, experiment_hash: str, key: str) -> list[float]:
    """Losses of an experiment's runs, in the order of the track's seeds."""
    found = _read(session, OF_EXPERIMENT, key=key, experiment_hash=experiment_hash)
    return found.get(experiment_hash, [])


def losses_by_experiment(
    session: Session, key: str, experiments: Collection[str] | None = None
) -> dict[str, list[float]]:
    """Losses of the experiments that have a result under a key, in the order of seeds.

    Args:
        experiments: whose are wanted; None for all.
    """
    if experiments is None:
        return _read(session, OF_BOARD, key=key)
    return _read(session, OF_EXPERIMENTS, key=key, experiments=list(experiments))


def baseline_losses(session: Session, baseline_hash: str, key: str) -> list[float]:
    """Losses of the baseline that others are judged against: none that is unverified."""
    found = _read(session, VERIFIED_OF_EXPERIMENT, key=key, experiment_hash=baseline_hash)
    return found.get(baseline_hash, [])


def trusted_losses(session: Session, key: str) -> dict[str, list[float]]:
    """Losses that trusted workers measured, by experiment, in the order of seeds."""
    return _read(session, TRUSTED_OF_BOARD, key=key)


def newest_losses(session: Session, experiment_hash: str) -> list[float]:
    """Losses of an experiment under the key of its newest result."""
    key = newest_key(session, experiment_hash)
    return experiment_losses(session, experiment_hash, key) if key else []


def newest_key(session: Session, experiment_hash: str) -> str | None:
    """The key of an experiment's newest result; None without one."""
    query = select(Run.comparability_key).where(Run.experiment_hash == experiment_hash)
    query = query.where(col(Run.comparability_key).is_not(None))
    return session.exec(query.order_by(col(Run.finished_at).desc()).limit(1)).one_or_none()


def board_spreads(
    session: Session, key: str, experiments: Collection[str] | None = None
) -> dict[str, Spread]:
    """How much the verified runs of each experiment differ that ran more than once.

    Args:
        experiments: whose are wanted; None for all.
    """
    if experiments is None:
        losses = _read(session, VERIFIED_OF_REPEATED, key=key)
    else:
        losses = _read(session, VERIFIED_OF_EXPERIMENTS, key=key, experiments=list(experiments))
    spreads = {identity: spread_of(of) for identity, of in losses.items()}
    return {identity: spread for identity, spread in spreads.items() if spread is not None}


def board_noise(session: Session, key: str) -> Noise | None:
    """The noise of the board, pooled over every experiment that ran more than once.

    Unverified runs are left out: made-up ones could make it as large as one likes.
    """
    return pooled_noise(list(_read(session, VERIFIED_OF_REPEATED, key=key).values()))


def _read(session: Session, statement: Any, **asked: object) -> dict[str, list[float]]:
    session.flush()
    return _by_experiment(session.connection().execute(statement, asked))


def _by_experiment(rows: Iterable[Any]) -> dict[str, list[float]]:
    """The losses, one for each seed: a seed that ran again says nothing of other seeds."""
    losses: dict[str, dict[int, float]] = {}
    for experiment_hash, seed, val_loss in rows:
        if val_loss is not None:
            losses.setdefault(experiment_hash, {}).setdefault(seed, val_loss)
    return {experiment: list(by_seed.values()) for experiment, by_seed in losses.items()}
