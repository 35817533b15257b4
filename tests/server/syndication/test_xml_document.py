from xml.etree import ElementTree

import pytest

from server.syndication.xml_document import add, document_bytes, new_document


def test_elements_are_in_the_namespace_and_text_is_escaped() -> None:
    root = new_document("a", "urn:x")
    add(root, "b", "1 < 2 & 3", title='"quoted"')
    parsed = ElementTree.fromstring(document_bytes(root))
    assert parsed.tag == "{urn:x}a"
    assert parsed[0].tag == "{urn:x}b"
    assert parsed[0].text == "1 < 2 & 3"
    assert parsed[0].attrib == {"title": '"quoted"'}


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ufffe", "\uffff", "\ud800"])
def test_what_xml_cannot_hold_becomes_the_replacement_character(character: str) -> None:
    root = new_document("a", "urn:x")
    add(root, "b", f"x{character}y", title=character)
    parsed = ElementTree.fromstring(document_bytes(root))
    assert parsed[0].text == "x\ufffdy"
    assert parsed[0].attrib == {"title": "\ufffd"}


def test_other_scripts_are_kept() -> None:
    root = new_document("a", "urn:x")
    add(root, "b", "Größe 模型 𝛽")
    assert ElementTree.fromstring(document_bytes(root))[0].text == "Größe 模型 𝛽"
