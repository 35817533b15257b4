import pytest

from core.schema.setting_names import setting_names
from server.errors import NotFound
from server.memory.setting_facts import setting_facts


def test_facts_are_those_of_the_schema() -> None:
    facts = setting_facts("model.attention.qk_norm")
    assert facts.model_dump(mode="json") == {
        "path": "model.attention.qk_norm",
        "group": "model.attention",
        "what": "RMS-normalise each query and key head before the rotation (arXiv:2302.05442).",
        "type": "true or false",
        "allowed": "`true`, `false`",
        "default": "false",
        "sources": [{"name": "arXiv:2302.05442", "url": "https://arxiv.org/abs/2302.05442"}],
    }


def test_a_setting_without_a_source_of_its_own_has_its_groups() -> None:
    assert [source.name for source in setting_facts("optimizer.adamw.beta2").sources] == [
        "arXiv:1711.05101"
    ]
    [source] = setting_facts("optimizer.muon.momentum").sources
    assert source.url == "https://kellerjordan.github.io/posts/muon"
    assert setting_facts("evaluation.interval_steps").sources == ()


def test_every_setting_says_what_it_does_and_may_be() -> None:
    for name in setting_names():
        facts = setting_facts(name)
        assert facts.what, name
        assert facts.allowed, name
        assert facts.type != "value", name


def test_a_group_is_no_setting() -> None:
    with pytest.raises(NotFound, match=r"no setting 'model\.attention'"):
        setting_facts("model.attention")
