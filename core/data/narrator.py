"""Documents about a made-up world."""

from collections.abc import Sequence

from core.data.draw import Draw
from core.data.phrases import (
    DAYS,
    FAMILY_RELATIONS,
    PERSON_RELATIONS,
    SPOTS,
    STORY_ENDINGS,
    STORY_MEETINGS,
    STORY_OPENINGS,
    STORY_TURNS,
    THINGS,
    TOWN_RELATIONS,
    WEATHERS,
    Relation,
)
from core.data.population import Entity, Population


def question_text(relation: Relation, entity: Entity, phrasing: int = 0) -> str:
    """The question for a fact, up to where its answer begins."""
    question = relation.questions[phrasing].format(full_name=entity.name)
    return f"Question: {question}\nAnswer:"


class Narrator:
    """Writes one document, with all its choices taken from one draw."""

    def __init__(self, population: Population, draw: Draw) -> None:
        self._population = population
        self._draw = draw

    def document(self) -> str:
        """A portrait of a person or a town, a story, or questions with answers."""
        writers = (
            *[self._portrait] * 9,
            *[self._town] * 3,
            *[self._story] * 4,
            *[self._quiz] * 4,
        )
        return self._draw.pick(writers)()

    def _portrait(self) -> str:
        """Two people with most of their facts, and questions."""
        people = self._draw.sample(self._population.people, 2)
        paragraphs = [
            " ".join(self._facts(person, self._person_relations(person), 7)) for person in people
        ]
        return "\n".join([*paragraphs, *self._answers(2, people)])

    def _town(self) -> str:
        """A town, what it is known for, and the people who live there."""
        town = self._draw.pick(self._population.towns)
        sentences = self._facts(town, TOWN_RELATIONS, 2)
        neighbours = [who for who in self._population.people if who.facts["home"] == town.name]
        for person in self._draw.sample(neighbours, 3):
            sentences += self._facts(person, self._person_relations(person), 4)
        return "\n".join([" ".join(sentences), *self._answers(1, (town, *neighbours))])

    def _story(self) -> str:
        """Two people meet over a thing; what they are and own is told on the way."""
        draw = self._draw
        a, b = draw.sample(self._population.people, 2)
        slots = {"thing": draw.pick(THINGS), "spot": draw.pick(SPOTS), "day": draw.pick(DAYS)}
        for letter, person in (("a", a), ("b", b)):
            slots |= {f"{letter}_{relation}": value for relation, value in person.facts.items()}
            slots |= {letter: person.short_name, f"{letter}_full": person.name}
        templates = [
            draw.pick(STORY_OPENINGS),
            draw.pick(WEATHERS),
            draw.pick(STORY_MEETINGS),
            *draw.sample(STORY_TURNS, 3),
            *draw.sample(STORY_ENDINGS, 2),
        ]
        story = " ".join(template.format(**slots) for template in templates)
        return "\n".join([story, *self._answers(2, (a, b))])

    def _quiz(self) -> str:
        """Questions about anybody and anything, with answers."""
        draw = self._draw
        subjects = draw.sample(self._population.people, 7)
        subjects += draw.sample(self._population.towns, 2)
        return "\n".join(self._answer(subject) for subject in draw.shuffled(subjects))

    def _facts(self, entity: Entity, relations: Sequence[Relation], count: int) -> list[str]:
        """Sentences about one entity: its name first, later often a pronoun."""
        sentences: list[str] = []
        for relation in self._draw.sample(relations, count):
            subject = entity.short_name if sentences else entity.name
            possessive = f"{subject}'s"
            if sentences and self._draw.chance(0.5):
                subject, possessive = entity.pronoun, entity.possessive
            sentences.append(
                self._draw.pick(relation.statements).format(
                    subject=subject,
                    possessive=possessive,
                    name=entity.short_name if sentences else entity.name,
                    value=entity.facts[relation.name],
                )
            )
        return sentences

    def _answers(self, count: int, entities: Sequence[Entity]) -> list[str]:
        return [self._answer(self._draw.pick(entities)) for _ in range(count)]

    def _answer(self, entity: Entity) -> str:
        """A question about a fact of the entity, and its answer."""
        is_town = entity in self._population.towns
        relations = TOWN_RELATIONS if is_town else self._person_relations(entity)
        relation = self._draw.pick(relations)
        phrasing = self._draw.below(len(relation.questions))
        return f"{question_text(relation, entity, phrasing)} {entity.facts[relation.name]}."

    @staticmethod
    def _person_relations(person: Entity) -> tuple[Relation, ...]:
        family = tuple(relation for relation in FAMILY_RELATIONS if relation.name in person.facts)
        return PERSON_RELATIONS + family
