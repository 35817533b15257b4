"""A small made-up world: text about it without end, and questions about its facts."""

from collections.abc import Iterator, Sequence
from itertools import count

from core.data.draw import Draw
from core.data.narrator import Narrator, question_text
from core.data.phrases import PERSON_RELATIONS, TOWN_RELATIONS, Relation
from core.data.population import Entity, populate
from core.data.question import Question

NUM_CHOICES = 4


class World:
    """A world that follows from its seed alone, on every platform."""

    def __init__(self, world_seed: int) -> None:
        self._seed = world_seed
        self._population = populate(world_seed)

    def document(self, index: int) -> str:
        """Document number `index`, counted from 0; it depends on the seed and `index` only."""
        draw = Draw(f"world {self._seed} document {index}")
        return Narrator(self._population, draw).document()

    def documents(self) -> Iterator[str]:
        """Every document in order, without end."""
        return map(self.document, count())

    def questions(self) -> tuple[Question, ...]:
        """A question for each fact, always the same ones, in random order.

        The wrong choices are values of other entities; the right choice stands at each of the
        four places equally often.
        """
        draw = Draw(f"world {self._seed} questions")
        people, towns = self._population.people, self._population.towns
        facts = [(relation, who, people) for relation in PERSON_RELATIONS for who in people]
        facts += [(relation, town, towns) for relation in TOWN_RELATIONS for town in towns]
        places = draw.shuffled([index % NUM_CHOICES for index in range(len(facts))])
        return tuple(
            _question(draw, fact, place)
            for fact, place in zip(draw.shuffled(facts), places, strict=True)
        )


def _question(draw: Draw, fact: tuple[Relation, Entity, Sequence[Entity]], place: int) -> Question:
    relation, entity, others = fact
    right = entity.facts[relation.name]
    values = sorted({other.facts[relation.name] for other in others} - {right, entity.name})
    choices = draw.sample(values, NUM_CHOICES - 1)
    choices.insert(place, right)
    return Question(
        context=question_text(relation, entity),
        choices=tuple(f" {choice}" for choice in choices),
        answer=place,
    )
