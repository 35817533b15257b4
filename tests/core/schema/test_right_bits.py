"""Which questions were right, in a text."""

import base64

import pytest

from core.schema.right_bits import pack_right, right_mask


def test_the_first_question_is_the_highest_bit_of_the_first_byte():
    # 1010_0001 and 1, filled up with zeros: 1000_0000.
    text = base64.b64encode(bytes([0b1010_0001, 0b1000_0000])).decode()
    assert pack_right((True, False, True, False, False, False, False, True, True)) == text
    assert right_mask(text, 9) == 0b1_0100_0011


@pytest.mark.parametrize("num_questions", [1, 7, 8, 9, 10_042])
def test_what_was_packed_is_read(num_questions):
    right = [index % 3 == 0 for index in range(num_questions)]
    mask = right_mask(pack_right(right), num_questions)
    assert f"{mask:0{num_questions}b}" == "".join(str(int(one)) for one in right)


def test_hellaswag_takes_1676_characters():
    assert len(pack_right([False] * 10_042)) == 1676


def test_bits_of_other_questions_are_refused():
    with pytest.raises(ValueError, match="has 1 bytes; 9 questions have 2"):
        right_mask(pack_right([True] * 8), 9)
