"""A multiple-choice question."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A context and the texts that may continue it, one of them right."""

    context: str
    """Text before the answer, as the model reads it."""
    choices: tuple[str, ...]
    """Continuations of the context, each with the space that joins it."""
    answer: int
    """Index of the right choice, counted from 0."""
