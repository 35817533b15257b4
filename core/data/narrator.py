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


import os

OTHER_PHRASING = float(os.environ.get("OP", 0.25))


class Narrator:
    """Writes one document, with all its choices taken from one draw."""

    def __init__(self, population: Population, draw: Draw) -> None:
        self._population = population
        self._draw = draw

    def document(self) -> str:
        """A portrait of a person or a town, a story, or questions with answers."""
        writers = (
            (0.45, self._portrait),
            (0.60, self._town),
            (0.80, self._story),
            (1.00, self._quiz),
        )
        chosen = self._draw.below(100) / 100
        return next(writer for bound, writer in writers if chosen < bound)()

    def _portrait(self) -> str:
        """Two people, friends or strangers, with most of their facts, and questions."""
        first, second = self._known_people(2)
        paragraphs = [
            " ".join(self._facts(person, relations, 7))
            for person, relations in ((first, self._person_relations(first)),
                                      (second, self._person_relations(second)))
        ]  # fmt: skip
        return "\n".join([*paragraphs, *self._answers(2, (first, second))])

    def _town(self) -> str:
        """A town, what it is known for, and the people who live there."""
        town = self._known_towns(1)[0]
        sentences = self._facts(town, TOWN_RELATIONS, 2)
        neighbours = [who for who in self._population.people if who.facts["home"] == town.name]
        for person in self._draw.sample(neighbours, 3):
            sentences += self._facts(person, self._person_relations(person), 4)
        return "\n".join([" ".join(sentences), *self._answers(1, (town, *neighbours))])

    def _story(self) -> str:
        """Two people meet over a thing; what they are and own is told on the way."""
        draw = self._draw
        a, b = self._known_people(2)
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
        subjects = self._known_people(7) + self._known_towns(2)
        return "\n".join(self._answer(subject) for subject in draw.shuffled(subjects))

    def _known_people(self, count: int) -> list[Entity]:
        """Different people; the world's first ones are talked about most."""
        found: list[Entity] = []
        while len(found) < count:
            person = self._draw.pick_early(self._population.people)
            if person not in found:
                found.append(person)
        return found

    def _known_towns(self, count: int) -> list[Entity]:
        """The towns of people who are talked about."""
        homes = [person.facts["home"] for person in self._known_people(count)]
        return [town for home in homes for town in self._population.towns if town.name == home]

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
        phrasing = int(self._draw.chance(OTHER_PHRASING)) * (len(relation.questions) - 1)
        return f"{question_text(relation, entity, phrasing)} {entity.facts[relation.name]}."

    @staticmethod
    def _person_relations(person: Entity) -> tuple[Relation, ...]:
        family = tuple(relation for relation in FAMILY_RELATIONS if relation.name in person.facts)
        return PERSON_RELATIONS + family
