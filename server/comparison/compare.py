"""Submissions side by side: the settings, figures and answers in which they differ."""

from collections.abc import Mapping, Sequence

from sqlmodel import Session

from core.schema.base import Message
from core.schema.compared_settings import ComparedSetting, compared_settings
from core.schema.track import Track
from server.board.kept_standings import standings
from server.comparison.agreement import TaskAgreement, task_agreements
from server.comparison.figures import ComparedFigure, compared_figures
from server.comparison.query import LETTERS
from server.comparison.sides import (
    ComparedSide,
    Contender,
    common_key,
    compared_sides,
    contenders,
)
from server.verdict.board_losses import losses_by_experiment
from server.verdict.judge import Judgement, judge_pair


class Comparison(Message):
    """What differs between submissions; all are compared with the first."""

    sides: tuple[ComparedSide, ...]
    """The submissions, in the order asked for."""
    key: str | None
    """The comparability key under which they are compared; None means no differences."""
    notice: str
    """Why some have no differences to the first, for a person; empty if all have."""
    settings: tuple[ComparedSetting, ...]
    """Settings that differ."""
    figures: tuple[ComparedFigure, ...]
    """The figures of all."""
    agreement: tuple[TaskAgreement, ...]
    """The questions of each task, by which of the first two got them right."""


def compare(session: Session, tracks: Mapping[str, Track], ids: Sequence[str]) -> Comparison:
    """Compare two to six submissions by their ids.

    Raises:
        NotFound: one of them does not exist, or its track is no longer served.
    """
    found = contenders(session, tracks, ids)
    key = common_key(session, found)
    sides = compared_sides(session, found, key, _judgements(session, found, key), LETTERS)
    agreement = (
        task_agreements(found[0].measured(key), found[1].measured(key))
        if key and found[0].experiment_hash != found[1].experiment_hash
        else ()
    )
    return Comparison(
        sides=sides,
        key=key,
        notice=_notice(sides),
        settings=compared_settings([contender.config for contender in found]),
        figures=tuple(compared_figures(sides)),
        agreement=agreement,
    )


def _judgements(
    session: Session, found: Sequence[Contender], key: str | None
) -> list[Judgement | None]:
    """Each against the first; None of the first itself."""
    if key is None:
        return [None] * len(found)
    first = found[0].experiment_hash
    hashes = {contender.experiment_hash for contender in found}
    losses = losses_by_experiment(session, key, hashes)
    noise = standings(session, key).noise
    return [
        None
        if contender.experiment_hash == first
        else judge_pair(losses.get(contender.experiment_hash, []), losses.get(first, []), noise)
        for contender in found
    ]


def _notice(sides: Sequence[ComparedSide]) -> str:
    """What keeps sides from being compared with the first."""
    first, *others = sides
    apart = [side for side in others if not side.is_compared]
    missing = [side.name for side in (first, *apart) if side.result is None]
    tracks = [side.track for side in apart if side.track != first.track]
    said = []
    if tracks:
        names = " and ".join(dict.fromkeys((first.track, *tracks)))
        said.append(f"{names} are different tracks, so their figures are not compared.")
    elif apart and missing:
        said.append(f"No result yet: {', '.join(dict.fromkeys(missing))}.")
    if any(side.result and side.track == first.track for side in apart) and first.result:
        said.append(
            "Measured on different data or by different rules (the comparability keys differ), "
            f"so figures are shown without differences: {_letters(first, apart)}."
        )
    return " ".join(said)


def _letters(first: ComparedSide, apart: Sequence[ComparedSide]) -> str:
    """Who stands apart from the first."""
    other = [side.letter for side in apart if side.result and side.track == first.track]
    return f"{first.letter} against {', '.join(other)}"
