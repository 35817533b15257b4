"""How many tokens the fused operations take at a time; the memory estimate counts with it."""

LOSS_CHUNK_TOKENS = 8192
"""Tokens whose logits exist at once."""
