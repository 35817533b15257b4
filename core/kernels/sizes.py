"""How much the fused operations take at a time; the estimates count with it."""

LOSS_CHUNK_TOKENS = 8192
"""Tokens whose logits exist at once."""
MERGED_ITERATIONS = {"quintic": 3, "polar_express": 2}
"""Most iterations of Muon's orthogonalisation that are one product with the long side, by the
coefficients. The first of `polar_express` raise small singular values so much, and with them what
bfloat16 rounded, that a third would no longer follow the matrix."""


def merged_iterations(shorter_side: int, longer_side: int, coefficients: str) -> int:
    """Iterations that share a product with the long side, where small products save time."""
    return MERGED_ITERATIONS[coefficients] if longer_side >= 2 * shorter_side else 1
