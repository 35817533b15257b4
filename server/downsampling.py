"""Fewer points of a curve, without losing what a reader looks for."""

from collections.abc import Sequence

MAX_POINTS = 500


def kept_indices(values: Sequence[float], limit: int = MAX_POINTS) -> list[int]:
    """Indices of at most `limit` values, in order: first, last, and the extremes between.

    What lies between first and last is cut into equal stretches; each keeps its smallest and
    its largest value, so a spike of one step survives.
    """
    if limit < 4:
        raise ValueError(f"limit is {limit}; at least 4 points are needed")
    if len(values) <= limit:
        return list(range(len(values)))
    inner = len(values) - 2
    stretches = (limit - 2) // 2
    kept = {0, len(values) - 1}
    for stretch in range(stretches):
        start = 1 + stretch * inner // stretches
        stop = 1 + (stretch + 1) * inner // stretches
        stretch_values = values[start:stop]
        kept.add(start + stretch_values.index(min(stretch_values)))
        kept.add(start + stretch_values.index(max(stretch_values)))
    return sorted(kept)
