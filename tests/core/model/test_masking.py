import pytest
import torch

from core.model import masking
from core.model.masking import sequence_context
from core.schema.model_config import AttentionConfig

SEPARATOR = 9


def context(tokens, **settings):
    return sequence_context(torch.tensor(tokens), AttentionConfig(**settings), SEPARATOR)


def picture(mask):
    """A row of the batch a list, a query a string, a visible key a star."""
    return [
        ["".join("*" if seen else "." for seen in query) for query in row[0].tolist()]
        for row in mask.dense_BHTT
    ]


def test_a_separator_belongs_to_the_document_that_it_ends():
    documents = context(
        [[5, 9, 7, 9, 9, 3], [9, 1, 2, 3, 4, 9]], document_masking=True
    ).documents_BT
    assert documents.dtype == torch.int32
    assert documents.tolist() == [[0, 0, 1, 1, 2, 3], [0, 1, 1, 1, 1, 1]]


def test_a_window_shows_a_position_and_those_just_before_it():
    mask = context([[1, 9, 1, 1, 1]], window_pattern=(2,)).mask(2)
    assert picture(mask) == [["*....", "**...", ".**..", "..**.", "...**"]]


def test_a_document_shows_itself_alone():
    mask = context([[1, 1, 9, 1, 1], [9, 1, 1, 1, 1]], document_masking=True).mask(0)
    assert picture(mask) == [
        ["*....", "**...", "***..", "...*.", "...**"],
        ["*....", ".*...", ".**..", ".***.", ".****"],
    ]


def test_windows_end_at_documents():
    settings = {"document_masking": True, "window_pattern": (2, 0)}
    both = context([[1, 1, 1, 9, 1, 1, 1]], **settings)
    near = ["*......", "**.....", ".**....", "..**...", "....*..", "....**.", ".....**"]
    whole = ["*......", "**.....", "***....", "****...", "....*..", "....**.", "....***"]
    assert picture(both.mask(2)) == [near]
    assert picture(both.mask(0)) == [whole]


@pytest.mark.parametrize("window", [0, 5, 6, 1000])
def test_a_window_that_hides_nothing_has_no_mask(window):
    assert context([[1, 2, 3, 4, 5]], window_pattern=(window, 2)).mask(window) is None


def test_a_long_window_still_hides_other_documents():
    settings = {"document_masking": True, "window_pattern": (0, 1000)}
    both = context([[1, 9, 3, 4, 5]], **settings)
    assert picture(both.mask(1000)) == picture(both.mask(0))


def test_the_plain_model_has_neither_documents_nor_masks():
    plain = context([[1, 9, 3]])
    assert plain.documents_BT is None
    assert not plain.masks


def test_without_a_compiler_there_are_no_blocks():
    assert context([[1] * 128], window_pattern=(4,)).mask(4).blocks is None


@pytest.mark.parametrize("settings", [{}, {"document_masking": True}])
@pytest.mark.parametrize("window", [1, 40, 128, 200])
def test_blocks_cover_what_the_dense_mask_shows(monkeypatch, settings, window):
    monkeypatch.setattr(masking, "_takes_blocks", lambda tokens_BT: True)
    torch.manual_seed(0)
    tokens = torch.where(torch.rand(2, 384) < 0.01, SEPARATOR, 1)
    mask = sequence_context(
        tokens, AttentionConfig(window_pattern=(window,), **settings), SEPARATOR
    ).mask(window)
    tiles = mask.dense_BHTT.unflatten(-1, (3, 128)).unflatten(-3, (3, 128))
    seen = tiles.sum(dim=(-3, -1))
    assert torch.equal(mask.blocks.to_dense().bool(), seen > 0)
    full_blocks = (seen == 128 * 128).sum(dim=-1)
    assert torch.equal(mask.blocks.full_kv_num_blocks, full_blocks.int())
