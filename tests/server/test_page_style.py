import hashlib
import re
from base64 import b64encode

from starlette.testclient import TestClient


def test_the_style_in_a_page_is_the_one_that_its_policy_names(client: TestClient) -> None:
    for path in ("/", "/no-such-page"):
        answer = client.get(path, headers={"Accept": "text/html"})
        (style,) = re.findall(r"<style>(.*?)</style>", answer.text, flags=re.DOTALL)
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = answer.headers["content-security-policy"]
        assert f"style-src 'self' 'sha256-{digest}';" in policy
        assert ".wordmark" in style


def test_the_style_can_end_no_element_but_its_own(client: TestClient) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", client.get("/").text, flags=re.DOTALL)
    assert "<" not in style
