"""How much the fused operations take at a time; the estimates count with it."""

LOSS_CHUNK_TOKENS = 8192
"""Tokens whose logits exist at once."""
MERGED_ITERATIONS = 3
"""Most iterations of Muon's orthogonalisation that are one product with the long side."""


def merged_iterations(shorter_side: int, longer_side: int) -> int:
    """Iterations that share a product with the long side, where small products save time."""
    return MERGED_ITERATIONS if longer_side >= 2 * shorter_side else 1
