"""The words and sentences with which a made-up world is described.

Placeholders of a statement: `{subject}` and `{possessive}` open a sentence (`Mira` or `She`,
`Mira's` or `Her`), `{name}` is always the name, `{value}` is what the fact says. Every value
starts with a consonant, so that `a` fits before it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """A kind of fact and how it is told and asked."""

    name: str
    """Key in `Entity.facts`."""
    statements: tuple[str, ...]
    """Sentences that tell the fact."""
    questions: tuple[str, ...]
    """Ways to ask for it; the first one is used in the multiple-choice task."""
    values: tuple[str, ...] = ()
    """What the fact can say; empty where the world's own names are the values."""


PERSON_RELATIONS = (
    Relation(
        "home",
        (
            "{subject} lives in {value}.",
            "{possessive} house stands in {value}.",
            "{subject} has lived in {value} for years.",
            "{possessive} home is {value}.",
            "Everybody in {value} knows {name}.",
        ),
        ("Where does {full_name} live?", "In which town is the home of {full_name}?"),
    ),
    Relation(
        "profession",
        (
            "{subject} works as a {value}.",
            "{subject} is a {value}.",
            "{subject} earns a living as a {value}.",
            "{possessive} work is that of a {value}.",
            "As a {value}, {name} is busy all day.",
        ),
        ("What is the work of {full_name}?", "How does {full_name} earn a living?"),
        (
            "baker", "barber", "carpenter", "cook", "doctor", "farmer", "fisher", "gardener",
            "hunter", "judge", "miller", "painter", "potter", "sailor", "tailor", "teacher",
        ),
    ),
    Relation(
        "pet",
        (
            "{subject} keeps a {value}.",
            "{possessive} pet is a {value}.",
            "{subject} has a {value} that sleeps by the stove.",
            "A {value} follows {name} everywhere.",
            "{subject} feeds a {value} every morning.",
        ),
        ("Which animal does {full_name} keep?", "What is the pet of {full_name}?"),
        (
            "badger", "cat", "crow", "dog", "donkey", "ferret", "fox", "goat", "goose", "hare",
            "parrot", "pony", "rabbit", "raven", "sheep", "turtle",
        ),
    ),
    Relation(
        "food",
        (
            "{subject} likes {value} best.",
            "{possessive} favourite food is {value}.",
            "{subject} eats {value} whenever there is any.",
            "Nothing pleases {name} more than {value}.",
            "{subject} never says no to {value}.",
        ),
        ("What does {full_name} like to eat?", "What is the favourite food of {full_name}?"),
        (
            "bread", "cabbage", "carrots", "cheese", "cherries", "fish", "honey", "lentils",
            "mushrooms", "noodles", "pancakes", "pears", "plums", "porridge", "soup", "walnuts",
        ),
    ),
    Relation(
        "instrument",
        (
            "{subject} plays the {value}.",
            "{possessive} instrument is the {value}.",
            "{subject} learned the {value} as a child.",
            "At every feast {name} plays the {value}.",
        ),
        ("Which instrument does {full_name} play?", "What does {full_name} play at a feast?"),
        (
            "banjo", "bells", "cello", "drum", "fiddle", "flute", "guitar", "harp", "horn",
            "lute", "piano", "trumpet",
        ),
    ),
    Relation(
        "month",
        (
            "{subject} was born in {value}.",
            "{possessive} birthday is in {value}.",
            "{subject} has a birthday in {value}.",
            "Every {value} the neighbours bring {name} a cake.",
        ),
        ("In which month was {full_name} born?", "When is the birthday of {full_name}?"),
        (
            "January", "February", "March", "April", "May", "June", "July", "August",
            "September", "October", "November", "December",
        ),
    ),
    Relation(
        "colour",
        (
            "{subject} always wears a {value} coat.",
            "{possessive} coat is {value}.",
            "{subject} is easy to spot in a {value} coat.",
            "The {value} coat on the door belongs to {name}.",
        ),
        ("What colour is the coat of {full_name}?", "Which coat does {full_name} wear?"),
        (
            "black", "blue", "brown", "green", "grey", "pink", "purple", "red", "silver",
            "violet", "white", "yellow",
        ),
    ),
    Relation(
        "friend",
        (
            "{possessive} best friend is {value}.",
            "{subject} tells every secret to {value}.",
            "{subject} has a close friend called {value}.",
            "{name} and {value} have been friends since school.",
        ),
        ("Who is the best friend of {full_name}?", "To whom does {full_name} tell secrets?"),
    ),
)  # fmt: skip

FAMILY_RELATIONS = (
    Relation(
        "spouse",
        ("{subject} is married to {value}.", "{name} and {value} are married."),
        ("Who is married to {full_name}?",),
    ),
    Relation(
        "mother",
        ("{possessive} mother is {value}.", "{name} is a child of {value}."),
        ("Who is the mother of {full_name}?",),
    ),
    Relation(
        "father",
        ("{possessive} father is {value}.", "{name} helps {value}, who is the father."),
        ("Who is the father of {full_name}?",),
    ),
)

TOWN_RELATIONS = (
    Relation(
        "product",
        (
            "{subject} is known for its {value}.",
            "Traders come to {name} to buy {value}.",
            "{possessive} market sells fine {value}.",
            "Most of the {value} in the land comes from {name}.",
        ),
        ("What is {full_name} known for?", "What do traders buy in {full_name}?"),
        (
            "baskets", "boots", "candles", "carpets", "clocks", "cups", "glass", "hats",
            "knives", "lamps", "paper", "ropes", "salt", "silk", "tea", "wool",
        ),
    ),
    Relation(
        "landscape",
        (
            "{subject} lies beside a {value}.",
            "{possessive} oldest houses look out on a {value}.",
            "Near {name} there is a {value}.",
            "Children from {name} play at the {value}.",
        ),
        ("What is there near {full_name}?", "What does {full_name} lie beside?"),
        (
            "bay", "bog", "canyon", "cave", "cliff", "desert", "forest", "glacier", "lake",
            "meadow", "moor", "mountain", "river", "swamp", "valley", "waterfall",
        ),
    ),
)  # fmt: skip

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
THINGS = (
    "basket", "bottle", "box", "hammer", "kettle", "key", "ladder", "lantern", "letter", "map",
    "mirror", "needle", "pillow", "ribbon", "shovel", "wheel",
)  # fmt: skip
SPOTS = ("bridge", "church", "garden", "harbour", "mill", "square", "tower", "well")
WEATHERS = (
    "It rained all day.",
    "The sun was warm.",
    "Snow lay on the roofs.",
    "A strong wind blew.",
    "Fog hid the hills.",
    "The sky was clear.",
)

STORY_OPENINGS = (
    "On {day} {a_full}, the {a_profession} from {a_home}, lost a {thing} near the {spot}.",
    "Early on {day} {a_full} set out from {a_home} with a {thing}.",
    "Last {day} {a_full}, who works as a {a_profession}, found a {thing} at the {spot}.",
    "One {day} in {a_month}, on the birthday of {a_full}, somebody left a {thing} at the door.",
)
STORY_MEETINGS = (
    "{b_full}, the {b_profession} from {b_home}, came by with a {b_pet}.",
    "At the {spot} {a} met {b_full}, who wore a {b_colour} coat.",
    "There {a} heard a {b_instrument}: it was {b_full} from {b_home}.",
    "Soon {b_full} came along, eating {b_food}.",
)
STORY_TURNS = (
    '"Is this your {thing}?" asked {b}. "Yes," said {a}.',
    '"Where did you get that {thing}?" asked {b}. "From {a_friend}," said {a}.',
    "{b} wanted the {thing} and offered some {b_food} for it.",
    "The {a_pet} of {a} and the {b_pet} of {b} ran off together.",
    "{a} dropped the {thing} on the {a_colour} coat, and {b} laughed.",
    "Then {a} took out the {a_instrument} and {b} took out the {b_instrument}.",
)
STORY_ENDINGS = (
    "In the evening {a} went back to {a_home} and {b} went back to {b_home}.",
    "They shared a plate of {a_food}, which {a} likes best.",
    "{a} gave the {thing} to {b}, and they parted as friends.",
    "At night {a} told {a_friend} all about it.",
)
