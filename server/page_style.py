"""The style that stands in every page, so that one request is enough to draw it.

A style sheet of its own costs a phone another round trip before it draws anything. The content
policy allows this style by its hash, and no other inside a page.
"""

import hashlib
from base64 import b64encode
from pathlib import Path

from markupsafe import Markup

PAGE_STYLE = Markup((Path(__file__).parent / "static" / "site.css").read_text("utf-8"))
"""Text of the style element."""
PAGE_STYLE_SOURCE = (
    f"'sha256-{b64encode(hashlib.sha256(PAGE_STYLE.encode()).digest()).decode('ascii')}'"
)
"""What names it in a content policy."""
