"""XML documents of one namespace."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, escaped or not."""


def new_document(tag: str, namespace: str) -> Element:
    """A root element whose descendants are in its namespace."""
    return Element(tag, {"xmlns": namespace})


def add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """Add an element; a character that XML has no place for becomes the replacement character."""
    values = {name: _storable(value) for name, value in attributes.items()}
    element = SubElement(parent, tag, values)
    if text:
        element.text = _storable(text)
    return element


def document_bytes(root: Element) -> bytes:
    """The document in UTF-8, with its declaration."""
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _storable(text: str) -> str:
    return NO_CHARACTER.sub("\ufffd", text)
