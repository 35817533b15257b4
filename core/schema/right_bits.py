"""Which questions of a task were answered right, as a text of one bit a question."""

import base64
from collections.abc import Sequence

MAX_RIGHT_CHARACTERS = 16_384
"""Of base64: room for 98,304 questions."""


def pack_right(right: Sequence[bool]) -> str:
    """Base64 of the bits, the first question's the highest of the first byte, zeros at the end."""
    padded = [*right, *[False] * (-len(right) % 8)]
    bits = "".join("1" if one else "0" for one in padded)
    octets = (int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))
    return base64.b64encode(bytes(octets)).decode()


def right_mask(text: str, num_questions: int) -> int:
    """What `pack_right` made as a number of one bit a question, the last question's the lowest.

    Raises:
        ValueError: it is no base64, of another number of questions, or has bits beyond the last.
    """
    try:
        octets = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"is no base64: {error}.") from error
    wanted = -(-num_questions // 8)
    if len(octets) != wanted:
        raise ValueError(
            f"has {len(octets)} bytes; {num_questions} questions have {wanted}, a bit each."
        )
    mask, beyond = divmod(int.from_bytes(octets), 1 << (8 * wanted - num_questions))
    if beyond:
        raise ValueError(f"has bits beyond those of its {num_questions} questions.")
    return mask
