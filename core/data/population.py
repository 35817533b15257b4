"""The people and towns of a made-up world."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.data.draw import Draw
from core.data.phrases import PERSON_RELATIONS, TOWN_RELATIONS

NUM_FAMILIES = 16
NUM_TOWNS = 16

_ONSETS = ("B", "D", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "T", "V", "W")
_VOWELS = ("a", "e", "i", "o", "u")
_MIDDLES = ("l", "m", "n", "r", "v", "z")
_FEMALE_ENDINGS = ("a", "ia", "ina", "ela")
_MALE_ENDINGS = ("o", "an", "ik", "os")
_FAMILY_ENDINGS = ("berg", "der", "ford", "ley", "man", "sen", "ster", "wick")
_TOWN_ENDINGS = ("bury", "dale", "field", "holm", "mere", "mouth", "port", "stead")


@dataclass(frozen=True)
class Entity:
    """A person or a town."""

    name: str
    """Full name."""
    short_name: str
    """First name; no two entities share one."""
    pronoun: str
    """`She`, `He` or `It`."""
    possessive: str
    """`Her`, `His` or `Its`."""
    facts: Mapping[str, str]
    """Name of a relation to what it says about this entity."""


@dataclass(frozen=True)
class Population:
    """Who lives in a world, and where."""

    people: tuple[Entity, ...]
    towns: tuple[Entity, ...]


def populate(world_seed: int) -> Population:
    """The population of one world; the same number gives the same one everywhere."""
    draw = Draw(f"population {world_seed}")
    stems = _stems(draw)
    towns = _towns(draw, stems)
    return Population(people=_people(draw, stems, towns), towns=towns)


def _stems(draw: Draw) -> Iterator[str]:
    """Beginnings of names, each once: no name is part of another's beginning."""
    stems = [first + vowel + last for first in _ONSETS for vowel in _VOWELS for last in _MIDDLES]
    return iter(draw.shuffled(stems))


def _deal(draw: Draw, values: Sequence[str], count: int) -> list[str]:
    """`count` values, each as often as any other (or once more), in random order."""
    return draw.shuffled([values[index % len(values)] for index in range(count)])


def _towns(draw: Draw, stems: Iterator[str]) -> tuple[Entity, ...]:
    dealt = {rel.name: _deal(draw, rel.values, NUM_TOWNS) for rel in TOWN_RELATIONS}
    names = [next(stems) + draw.pick(_TOWN_ENDINGS) for _ in range(NUM_TOWNS)]
    return tuple(
        Entity(name, name, "It", "Its", {relation: dealt[relation][index] for relation in dealt})
        for index, name in enumerate(names)
    )


def _people(draw: Draw, stems: Iterator[str], towns: Sequence[Entity]) -> tuple[Entity, ...]:
    """Families of a mother, a father and a child who share a home."""
    count = 3 * NUM_FAMILIES
    dealt = {rel.name: _deal(draw, rel.values, count) for rel in PERSON_RELATIONS if rel.values}
    homes = _deal(draw, [town.name for town in towns], NUM_FAMILIES)
    women = [draw.chance(0.5) if index % 3 == 2 else index % 3 == 0 for index in range(count)]
    first_names = [
        next(stems) + draw.pick(_FEMALE_ENDINGS if woman else _MALE_ENDINGS) for woman in women
    ]
    families = [next(stems) + draw.pick(_FAMILY_ENDINGS) for _ in range(NUM_FAMILIES)]
    names = [f"{first} {families[index // 3]}" for index, first in enumerate(first_names)]
    friends = _friends(draw, names)
    people = []
    for index, name in enumerate(names):
        mother = index - index % 3
        facts = {relation: dealt[relation][index] for relation in dealt}
        facts |= {"home": homes[index // 3], "friend": friends[index]}
        if index % 3 == 2:
            facts |= {"mother": names[mother], "father": names[mother + 1]}
        else:
            facts["spouse"] = names[mother + 1 - index % 3]
        pronouns = ("She", "Her") if women[index] else ("He", "His")
        people.append(Entity(name, first_names[index], *pronouns, facts))
    return tuple(people)


def _friends(draw: Draw, names: Sequence[str]) -> list[str]:
    """A friend for each person: the next one on a round trip through all people."""
    order = draw.shuffled(range(len(names)))
    friends = [""] * len(names)
    for place, index in enumerate(order):
        friends[index] = names[order[(place + 1) % len(order)]]
    return friends
