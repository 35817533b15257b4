"""Whose an experiment is: that of whoever submitted it first, or whose submission became it."""

from sqlalchemy import Subquery, func
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar

from server.idle.names import named_experiments


def owned_experiments(among: SelectOfScalar[str] | None = None) -> Subquery:
    """Every experiment that was submitted, or of some, once.

    Columns: `experiment_hash`, and `author` and `submission_id` of the first submission of it.
    """
    named = named_experiments()
    place = func.row_number().over(
        partition_by=named.c.experiment_hash, order_by=(named.c.created_at, named.c.submission_id)
    )
    placed = select(
        named.c.experiment_hash, named.c.author, named.c.submission_id, place.label("place")
    )
    if among is not None:
        placed = placed.where(named.c.experiment_hash.in_(among))
    numbered = placed.subquery("numbered")
    columns = (numbered.c.experiment_hash, numbered.c.author, numbered.c.submission_id)
    return select(*columns).where(numbered.c.place == 1).subquery("owned")
