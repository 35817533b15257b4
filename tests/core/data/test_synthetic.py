import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import islice

from core.data.population import populate
from core.data.synthetic import World

DIGEST = """
import hashlib
from itertools import islice
from core.data.synthetic import World
world = World(0)
text = "".join(islice(world.documents(), 200)) + repr(world.questions())
print(hashlib.sha256(text.encode()).hexdigest())
"""


def digest_in_new_process(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_world_is_the_same_in_every_process():
    world = World(0)
    text = "".join(islice(world.documents(), 200)) + repr(world.questions())
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert digest_in_new_process("1") == expected
    assert digest_in_new_process("2") == expected


def test_a_document_depends_on_its_number_alone():
    assert World(0).document(7) == list(islice(World(0).documents(), 8))[7]


def test_documents_differ_and_so_do_worlds():
    texts = list(islice(World(0).documents(), 1000))
    assert len(set(texts)) == 1000
    assert World(0).document(0) != World(1).document(0)


def test_documents_have_60_to_150_words():
    lengths = [len(text.split()) for text in islice(World(0).documents(), 1000)]
    assert min(lengths) >= 60
    assert max(lengths) <= 150


def test_documents_say_only_what_is_so():
    world, population = World(0), populate(0)
    homes = {person.name: person.facts["home"] for person in population.people}
    told = 0
    for text in islice(world.documents(), 500):
        for name, home in homes.items():
            question = f"Question: Where does {name} live?\nAnswer: "
            if question in text:
                told += 1
                assert text.split(question)[1].startswith(f"{home}.")
    assert told > 20


def test_a_pronoun_never_comes_before_the_name():
    for text in islice(World(3).documents(), 300):
        for paragraph in text.split("\n"):
            assert not paragraph.startswith(("She ", "He ", "Her ", "His ", "It ", "Its "))


def test_every_fact_is_asked_once_with_four_choices_of_one_kind():
    world, population = World(0), populate(0)
    questions = world.questions()
    # 48 people × 8 relations + 16 towns × 2 relations.
    assert len(questions) == 416
    assert len({question.context for question in questions}) == 416
    names = {f" {person.name}" for person in population.people}
    for question in questions:
        assert len(set(question.choices)) == 4
        assert len({choice in names for choice in question.choices}) == 1


def test_right_answers_are_right_and_stand_at_each_place_equally_often():
    questions = World(5).questions()
    assert Counter(question.answer for question in questions) == {0: 104, 1: 104, 2: 104, 3: 104}
    facts = {
        f"Question: Where does {person.name} live?\nAnswer:": f" {person.facts['home']}"
        for person in populate(5).people
    }
    checked = [q for q in questions if q.context in facts]
    assert len(checked) == 48
    assert all(q.choices[q.answer] == facts[q.context] for q in checked)


def test_no_first_name_is_the_beginning_of_another_entitys_name():
    for seed in range(5):
        population = populate(seed)
        names = [entity.short_name for entity in (*population.people, *population.towns)]
        assert len(names) == 64
        assert not any(a != b and b.startswith(a) for a in names for b in names)
