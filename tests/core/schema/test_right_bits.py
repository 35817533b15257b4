"""Which questions were right, in a text."""

import base64

import pytest

from core.schema.right_bits import count_right, pack_right, unpack_right


def test_the_first_question_is_the_highest_bit_of_the_first_byte():
    # 1010_0001 and 1, filled up with zeros: 1000_0000.
    right = (True, False, True, False, False, False, False, True, True)
    text = base64.b64encode(bytes([0b1010_0001, 0b1000_0000])).decode()
    assert pack_right(right) == text
    assert unpack_right(text, 9) == right
    assert count_right(text, 9) == 4


@pytest.mark.parametrize("num_questions", [1, 7, 8, 9, 10_042])
def test_what_was_packed_is_unpacked(num_questions):
    right = tuple(index % 3 == 0 for index in range(num_questions))
    assert unpack_right(pack_right(right), num_questions) == right


def test_hellaswag_takes_1676_characters():
    assert len(pack_right([False] * 10_042)) == 1676


def test_bits_of_other_questions_are_refused():
    with pytest.raises(ValueError, match="has 1 bytes; 9 questions have 2"):
        unpack_right(pack_right([True] * 8), 9)
