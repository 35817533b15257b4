from hypothesis import given
from hypothesis import strategies as st

from core.schema.experiment import FilesSource, HubSource, SyntheticSource
from core.schema.setting_names import (
    entry_groups_of,
    find_field,
    groups_of,
    kinds_of,
    nearest_name,
    setting_names,
)
from core.schema.training_config import BatchSizeStage


@given(st.sampled_from(setting_names()))
def test_every_setting_name_has_a_described_field(name):
    field = find_field(tuple(name.split(".")))
    assert field is not None
    assert field.description


def test_a_field_of_several_kinds_holds_the_group_of_each():
    groups = groups_of(find_field(("data", "source")))
    assert groups == (HubSource, FilesSource, SyntheticSource)
    assert [kinds_of(group) for group in groups] == [("hub",), ("files",), ("synthetic",)]


def test_a_list_of_groups_is_a_setting_whose_entries_have_settings():
    stages = ("training", "batch_size_stages")
    assert groups_of(find_field(stages)) == ()
    assert entry_groups_of(find_field(stages)) == (BatchSizeStage,)
    assert find_field((*stages, "3", "batch_size")).description == (
        "Sequences in one optimizer step."
    )
    assert find_field((*stages, "batch_size")) is None


def test_the_nearest_name_is_close_or_none():
    assert nearest_name("model.droput", setting_names()) == "model.dropout"
    assert nearest_name("zzz", setting_names()) is None
