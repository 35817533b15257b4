"""Whatever a stranger writes is accepted or refused with a message, within a second.

`FIVE_DOLLAR_FUZZ_CASES=10000` tries as many documents of each kind.
"""

import json
import os
import resource

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.proposal import propose, read_submission
from core.schema.problem import Problem
from core.schema.setting_names import setting_names
from core.tracks import load_tracks

TRACKS = load_tracks()
MAX_SECONDS = 1.0
MAX_MEBIBYTES = 200
fuzzed = settings(
    max_examples=int(os.environ.get("FIVE_DOLLAR_FUZZ_CASES", "300")),
    deadline=1000 * MAX_SECONDS,
    suppress_health_check=list(HealthCheck),
)

EXAMPLES = [
    "track: debug\nname: Mine\nauthor: me\nhypothesis: Yes.\noverrides:\n  model.num_layers: 3\n",
    "track: gpu_24gb\nname: Two\nauthor: a-b\nhypothesis: 'It: is'\noverrides:\n"
    "  model:\n    attention: {qk_norm: true, window_pattern: [0, 256]}\n"
    "  optimizer.muon.learning_rate: 1e-3\n",
    "track: five_dollar\nname: T\nauthor: b\nhypothesis: |\n  Long\n  text.\nbuilt_on: s_1\n"
    "overrides:\n  training: {tokens: 0, dollars: 4.5}\n  training.batch_size: 0x10\n",
]
SCRAPS = [
    "\t",
    "\n",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!python/object:os.system ",
    "|",
]
SCRAPS += [
    "\x00",
    "\ud7ff",
    "é",
    "'",
    '"',
    "#",
    "---\n",
    "...",
    "? ",
    "<<: ",
    "0" * 40,
    ".nan",
    "-.inf",
]
SCRAPS += [
    "overrides:\n",
    "  model:\n",
    "track: debug\n",
    "1e999",
    "0777",
    "~",
    "on",
    "2026-11-25",
    "%",
]

numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 1e308, 5e-324, 0.1, 10**9]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
names = st.one_of(
    st.sampled_from(sorted(setting_names())),
    st.sampled_from(sorted(setting_names())).map(lambda name: name[:-1] + "x"),
    st.sampled_from(["model", "model.attention", "training", "optimizer.muon", "", ".", "a..b"]),
    st.text(max_size=12),
)


def answer(text):
    """Accept, or refuse with problems that say something."""
    for problem in refusals(text):
        assert problem.message.strip()
        # It must reach the author as an answer of the API.
        json.dumps(problem.model_dump(mode="json")).encode()


def refusals(text):
    try:
        propose(read_submission(text, TRACKS), TRACKS)
    except InvalidInput as error:
        # A refusal without a reason would be none.
        return error.problems or [Problem(path="", message="")]
    return ()


def peak_mebibytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@fuzzed
@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(data):
    answer(data)


@fuzzed
@given(st.sampled_from(EXAMPLES), st.data())
def test_torn_documents_get_an_answer(example, data):
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(example)))
        end = min(len(example), start + data.draw(st.integers(0, 12)))
        scrap = data.draw(st.sampled_from([*SCRAPS, example[start:end], ""]))
        example = example[:start] + scrap + example[end:]
    answer(example)


@fuzzed
@given(st.sampled_from(sorted(TRACKS)), st.dictionaries(names, values, max_size=6))
def test_any_overrides_get_an_answer(track, overrides):
    document = {"track": track, "name": "n", "author": "a", "hypothesis": "h"}
    answer(yaml.safe_dump({**document, "overrides": overrides}, allow_unicode=True))


@fuzzed
@given(st.dictionaries(st.one_of(names, st.sampled_from(["track", "name", "overrides"])), values))
def test_any_mapping_gets_an_answer(document):
    answer(json.dumps(document))


def test_documents_that_are_built_to_hurt_are_refused_without_much_memory():
    before = peak_mebibytes()
    for hostile in (
        "a: " + "[" * 30_000,
        "{" * 30_000,
        "a:\n" + "".join(f"{' ' * depth}b:\n" for depth in range(1, 300)),
        "track: debug\noverrides: {" + ", ".join(f"k{n}: 1" for n in range(6_000)) + "}",
        "x: &a [1, 1]\ny: [" + ", ".join(["*a"] * 5_000) + "]",
        "a: '" + "\\" * 60_000 + "'",
        "a: " + "9" * 60_000,
        "- " * 30_000,
        "? " * 30_000,
        "track: debug\nname: " + "x" * 60_000,
        "overrides: {'" + ".".join("a" * 1 for _ in range(20_000)) + "': 1}",
    ):
        answer(hostile)
    assert peak_mebibytes() - before < MAX_MEBIBYTES
