"""Byte-level tokenizers: the hub's, or one trained on a made-up world."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from core.data.hub import download_tokenizer
from core.data.record_files import reading
from core.data.synthetic import World
from core.errors import DataUnavailable
from core.schema.mirror import Mirror

SYNTHETIC_VOCAB_SIZE = 1024
_SAMPLE_DOCUMENTS = 800
_BYTE_ALPHABET = frozenset(pre_tokenizers.ByteLevel.alphabet())


class Tokenizer:
    """Text to token ids and back.

    As everywhere in the library, a special token that a text spells out becomes that token.
    """

    def __init__(self, document: dict[str, Any], separator: str, name: str) -> None:
        """Build a tokenizer.

        Args:
            document: the contents of `tokenizer.json`; truncation and padding are ignored.
            separator: token that follows each document.
            name: for messages.

        Raises:
            DataUnavailable: the document is not a byte-level tokenizer with that separator.
        """
        document = {**document, "truncation": None, "padding": None}
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
        except Exception as error:  # the library raises nothing more specific
            message = f"the tokenizer {name} is not a valid tokenizer.json: {error}."
            raise DataUnavailable(message) from error
        self._vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        self._added = self._tokenizer.get_added_tokens_decoder()
        self.vocab_size = max(self._vocabulary.values(), default=-1) + 1
        self.hash = hashlib.sha256(_canonical(document).encode()).hexdigest()
        self.separator_id = self._find_separator(separator, name)
        self._require_byte_level(name)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without any that are not in it; uses all processor cores."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens included."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    def token_bytes(self) -> npt.NDArray[np.int32]:
        """[vocab_size] UTF-8 bytes of text that each token stands for; 0 for the separator."""
        return self._token_bytes.copy()

    @cached_property
    def _token_bytes(self) -> npt.NDArray[np.int32]:
        lengths = np.zeros(self.vocab_size, dtype=np.int32)
        for token, index in self._vocabulary.items():
            lengths[index] = len(token)
        for index, added in self._added.items():
            lengths[index] = len(added.content.encode())
        lengths[self.separator_id] = 0
        return lengths

    def _find_separator(self, separator: str, name: str) -> int:
        if separator in self._vocabulary:
            return self._vocabulary[separator]
        special = ", ".join(added.content for added in self._added.values() if added.special)
        raise DataUnavailable(
            f"the tokenizer {name} has no token `{separator}` for data.separator; its special "
            f"tokens are {special or 'none'}."
        )

    def _require_byte_level(self, name: str) -> None:
        """Each token of a byte-level vocabulary is written with one letter a byte."""
        for token, index in self._vocabulary.items():
            if index not in self._added and not _BYTE_ALPHABET.issuperset(token):
                raise DataUnavailable(
                    f"the tokenizer {name} is not byte-level (token {token!r}), so the bytes of "
                    "a text cannot be counted. Use a byte-level BPE tokenizer."
                )


def load_tokenizer(name: str, separator: str, mirror: Mirror) -> Tokenizer:
    """Load a tokenizer.

    Args:
        name: `synthetic`, a key of the mirror, a folder with `tokenizer.json`, or a name on
            the hub.

    Raises:
        DataUnavailable: it cannot be read or lacks the separator.
    """
    if name == "synthetic":
        return Tokenizer(_train(separator), separator, name)
    local = Path(mirror.tokenizers.get(name, name)).expanduser()
    if name in mirror.tokenizers or local.is_dir():
        path = local / "tokenizer.json"
    else:
        path = download_tokenizer(name)
    with reading(str(path), "Give a folder with a valid tokenizer.json."):
        document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise DataUnavailable(f"{path} must hold a JSON object.")
    return Tokenizer(document, separator, name)


def _train(separator: str) -> dict[str, Any]:
    """Byte-pair encoding of world 0, written out by hand.

    The library breaks ties between merges by token number, so the same text gives the same
    merges; its own serialisation differs between versions and is not used.
    """
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=SYNTHETIC_VOCAB_SIZE,
        special_tokens=[separator],
        initial_alphabet=sorted(_BYTE_ALPHABET),
        show_progress=False,
    )
    tokenizer.train_from_iterator(islice(World(0).documents(), _SAMPLE_DOCUMENTS), trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}  # fmt: skip
    special = {"id": 0, "content": separator, "special": True, "normalized": False,
               "single_word": False, "lstrip": False, "rstrip": False}  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": [special],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": trained["vocab"], "merges": trained["merges"]},
    }


def _canonical(document: dict[str, Any]) -> str:
    """JSON with sorted keys; merges as pairs, however the file writes them."""
    model = document.get("model")
    if isinstance(model, dict) and isinstance(model.get("merges"), list):
        merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        document = {**document, "model": {**model, "merges": merges}}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
