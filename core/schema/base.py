"""Bases of every validated object."""

from pydantic import BaseModel, ConfigDict

MAX_COUNT = 2**53 - 1
"""Largest whole number that JSON readers and databases carry exactly."""


class Config(BaseModel):
    """An immutable group of settings that a person writes.

    Strict: no text where a number is meant, no unknown key, no NaN and no infinity.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


class Message(BaseModel):
    """An immutable object that one program sends to another as JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
