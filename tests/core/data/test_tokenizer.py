import json
import os
import subprocess
import sys
from itertools import islice

import huggingface_hub
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from core.data.synthetic import World
from core.data.tokenizer import Tokenizer, load_tokenizer
from core.errors import DataUnavailable
from core.schema.mirror import Mirror

END = "<|endoftext|>"
SYNTHETIC = load_tokenizer("synthetic", END, Mirror())
SYNTHETIC_HASH = "d9f52303dd9d7a6f6fbf2ee65c4798ae9976962cb303088808ef342c372590ad"
HASH_IN_NEW_PROCESS = f"""
from core.data.tokenizer import load_tokenizer
from core.schema.mirror import Mirror
print(load_tokenizer("synthetic", "{END}", Mirror()).hash)
"""


def small_document() -> dict:
    """Bytes, one merge `th`, and two special tokens."""
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = {"special": True, "normalized": False, "single_word": False}
    special |= {"lstrip": False, "rstrip": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": 257, "content": END, **special},
            {"id": 258, "content": "<name>", **special},
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {letter: index for index, letter in enumerate(letters)} | {"th": 256},
            "merges": [["t", "h"]],
        },
    }


def write(folder, document) -> Mirror:
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return Mirror(tokenizers={"owner/name": str(folder)})


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "TOKENIZERS_PARALLELISM": "true"},
        {"PYTHONHASHSEED": "2", "TOKENIZERS_PARALLELISM": "false"},
    ],
)
def test_the_synthetic_tokenizer_is_the_same_everywhere(environment):
    assert SYNTHETIC.hash == SYNTHETIC_HASH
    done = subprocess.run(
        [sys.executable, "-c", HASH_IN_NEW_PROCESS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == SYNTHETIC_HASH


def test_the_synthetic_tokenizer_has_1024_entries_and_a_separator():
    assert SYNTHETIC.vocab_size == 1024
    assert SYNTHETIC.separator_id == 0
    assert SYNTHETIC.decode([0]) == END


def test_bytes_of_tokens_add_up_to_the_text():
    texts = [*islice(World(1).documents(), 50), "naïve Σ 🙂", "", " \n\t "]
    token_bytes = SYNTHETIC.token_bytes()
    for text, ids in zip(texts, SYNTHETIC.encode(texts), strict=True):
        assert token_bytes[ids].sum() == len(text.encode())


@given(st.text(max_size=60))
def test_any_text_comes_back_and_its_bytes_are_counted(text):
    (ids,) = SYNTHETIC.encode([text])
    assert SYNTHETIC.decode(ids) == text
    spelled_separators = ids.count(SYNTHETIC.separator_id) * len(END)
    assert SYNTHETIC.token_bytes()[ids].sum() + spelled_separators == len(text.encode())


def test_token_bytes_by_hand(tmp_path):
    tokenizer = load_tokenizer("owner/name", END, write(tmp_path, small_document()))
    (ids,) = tokenizer.encode(["the é<name>"])
    # "th", "e", " ", two bytes of "é", and a special token of six letters that the text spells.
    assert len(ids) == 6
    assert ids[0] == 256
    assert ids[5] == 258
    assert tokenizer.token_bytes()[ids].tolist() == [2, 1, 1, 1, 1, 6]
    assert tokenizer.token_bytes()[tokenizer.separator_id] == 0
    assert tokenizer.token_bytes().shape == (259,)


def test_nothing_is_added_and_nothing_cut_off(tmp_path):
    document = small_document() | {
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 50},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "!",
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": END, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {END: {"id": END, "ids": [257], "tokens": [END]}},
        },
    }  # fmt: skip
    tokenizer = load_tokenizer("owner/name", END, write(tmp_path, document))
    assert [len(ids) for ids in tokenizer.encode(["abcdef", "a"])] == [6, 1]


def test_the_hash_ignores_formatting_truncation_padding_and_the_spelling_of_merges(tmp_path):
    document = small_document()
    plain = Tokenizer(document, END, "x").hash
    again = dict(reversed(document.items())) | {"truncation": None, "padding": None}
    again["model"] = document["model"] | {"merges": ["t h"]}
    assert Tokenizer(again, END, "x").hash == plain
    again["model"] = document["model"] | {"merges": []}
    assert Tokenizer(again, END, "x").hash != plain


def test_a_tokenizer_is_found_in_a_folder_a_mirror_and_on_the_hub(tmp_path, monkeypatch):
    mirror = write(tmp_path, small_document())
    expected = load_tokenizer("owner/name", END, mirror).hash
    assert load_tokenizer(str(tmp_path), END, Mirror()).hash == expected
    asked = []

    def hf_hub_download(*args):
        asked.append(args)
        return str(tmp_path / "tokenizer.json")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    assert load_tokenizer("owner/name", END, Mirror()).hash == expected
    assert asked == [("owner/name", "tokenizer.json")]


def test_an_unreachable_hub_names_the_tokenizer_and_the_mirror(monkeypatch):
    def hf_hub_download(*args):
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    with pytest.raises(DataUnavailable, match=r"owner/name.*no route.*mirror with `owner/name`"):
        load_tokenizer("owner/name", END, Mirror())


def test_a_missing_separator_names_the_special_tokens(tmp_path):
    mirror = write(tmp_path, small_document())
    with pytest.raises(DataUnavailable, match=r"no token `<end>`.*<\|endoftext\|>, <name>"):
        load_tokenizer("owner/name", "<end>", mirror)


def test_a_tokenizer_that_is_not_byte_level_is_refused(tmp_path):
    document = small_document()
    vocabulary = document["model"]["vocab"]
    vocabulary["▁the"] = vocabulary.pop("!")
    with pytest.raises(DataUnavailable, match="not byte-level"):
        load_tokenizer("owner/name", END, write(tmp_path, document))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"type": "New"}}', "\xff"])
def test_an_unreadable_file_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataUnavailable, match=r"tokenizer|owner/name"):
        load_tokenizer("owner/name", END, Mirror(tokenizers={"owner/name": str(tmp_path)}))


def test_a_mirror_without_the_file_is_named(tmp_path):
    with pytest.raises(DataUnavailable, match=r"tokenizer\.json.*Give a folder"):
        load_tokenizer("owner/name", END, Mirror(tokenizers={"owner/name": str(tmp_path)}))
