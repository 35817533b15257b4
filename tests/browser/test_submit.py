"""The page that submits in a real browser: the editor, and the plain form without JavaScript."""

import re

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.server import factories
from tests.server.boards import NORM

pytestmark = pytest.mark.browser

WRITTEN = "track: debug\nname: Written by hand\nhypothesis: Steadier.\n"


@pytest.fixture
def editor(page: Page) -> Locator:
    """The editor of a page that is not yet changed, and whose content policy is not broken."""
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " (event) => console.error(`policy: ${event.violatedDirective}`));"
    )
    page.goto("/queue")
    page.get_by_role("link", name="Submit").click()
    editor = page.get_by_role("textbox", name="YAML. Escape, then Tab, leaves the editor.")
    expect(editor).to_be_visible()
    return editor


def empty(page: Page, editor: Locator) -> None:
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")


def summary(page: Page) -> Locator:
    return page.locator("#answer-summary")


def test_an_idea_is_written_corrected_and_submitted(page: Page, editor: Locator) -> None:
    expect(summary(page)).to_have_text("To be written: name, author and hypothesis")
    empty(page, editor)
    page.keyboard.type(WRITTEN + "overrides:\n")
    page.keyboard.type("model.attention.qk")
    option = page.get_by_role("option", name="model.attention.qk_norm")
    expect(option).to_contain_text("true, false")
    expect(page.locator(".cm-completionInfo")).to_contain_text("Baseline: false.")
    page.wait_for_timeout(150)
    page.keyboard.press("Enter")
    page.get_by_role("option", name="true", exact=True).click()
    expect(page.get_by_label("Author")).to_have_value("")
    expect(summary(page)).to_have_text("1 problem")
    page.get_by_label("Author").fill("ada")
    expect(summary(page)).to_have_text("Valid on debug")

    # A mistake is marked at its line, and the mark goes with it.
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("\nmodel.dropout: 1.5")
    expect(summary(page)).to_have_text("1 problem")
    expect(page.locator("#outlook")).to_contain_text("1.5 is not allowed: must be less than 1")
    expect(page.locator(".cm-line").filter(has=page.locator(".cm-lintRange-error"))).to_have_text(
        re.compile("model.dropout: 1.5")
    )
    for _ in range(4):
        page.keyboard.press("Backspace")
    page.keyboard.type(" 0.25")
    expect(summary(page)).to_have_text("Valid on debug")
    expect(page.locator(".cm-lintRange-error")).to_have_count(0)
    expect(page.locator("#outlook")).to_contain_text("Parameters")
    changes = page.get_by_role("table", name="Settings that differ from the baseline")
    expect(changes.get_by_role("row")).to_have_count(3)

    page.get_by_role("button", name="Submit").click()
    expect(page).to_have_url(re.compile("/submissions/s_"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Written by hand")
    expect(page.locator(".page-head .by")).to_have_text("ada")


def test_time_and_dollars_follow_the_text(page: Page, editor: Locator) -> None:
    page.goto("/submit?track=gpu_24gb")
    memory = page.locator(".facts div").filter(has_text="Memory")
    before = memory.inner_text()
    expect(page.get_by_role("row").filter(has_text="RTX 4090")).to_contain_text("$")
    empty(page, editor)
    page.keyboard.insert_text("track: gpu_24gb\noverrides:\n  model.num_layers: 4\n")
    expect(memory).not_to_have_text(before)
    expect(page.locator("#outlook")).to_contain_text("name is missing")


def test_completion_knows_nested_settings_lists_and_tracks(page: Page, editor: Locator) -> None:
    names = page.locator(".cm-completionLabel")
    empty(page, editor)
    page.keyboard.insert_text("track: ")
    page.keyboard.type("gp")
    expect(names).to_have_text(["gpu_24gb"])
    empty(page, editor)
    page.keyboard.insert_text("track: debug\noverrides:\n  optimizer:\n    muon:\n      ")
    page.keyboard.type("learn")
    expect(names.first).to_have_text("learning_rate")
    empty(page, editor)
    stages = "training.batch_size_stages:\n  - from_fraction: 0.5\n    "
    page.keyboard.insert_text("overrides:\n  " + stages.replace("\n", "\n  "))
    page.keyboard.type("ba")
    expect(names).to_have_text(["batch_size"])
    # Settings that the track fixes are not offered.
    empty(page, editor)
    page.keyboard.insert_text("track: debug\noverrides:\n  ")
    page.keyboard.type("data.tok")
    page.wait_for_timeout(300)
    expect(names.filter(has_text="data.")).to_have_count(0)


def test_the_keyboard_gets_into_the_editor_and_out_again(page: Page, editor: Locator) -> None:
    editor.focus()
    expect(editor).to_be_focused()
    before = page.locator("#yaml").input_value()
    page.keyboard.press("Tab")
    assert page.locator("#yaml").input_value() != before
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Author")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_editor_has_the_pages_colours_and_width(
    page: Page, editor: Locator, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 800})
    empty(page, editor)
    page.keyboard.insert_text("track: debug\noverrides:\n  ")
    page.keyboard.type("model.attention.la")
    expect(page.get_by_role("option").first).to_be_visible()
    colours = [
        page.evaluate("element => getComputedStyle(element).color", locator.element_handle())
        for locator in (editor, page.locator("body"))
    ]
    assert colours[0] == colours[1]
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_form_of_before_the_servers_start_is_renewed(
    context: BrowserContext, board: httpx.Client
) -> None:
    # The browser logs the refusal as an error, so that this is no page of the fixture.
    page = context.new_page()
    page.goto("/submit")
    page.locator("[name=csrf_token]").evaluate("field => field.value = 'old'")
    with page.expect_response(lambda answer: answer.status == 403):
        page.get_by_label("Author").fill("ada")
    expect(summary(page)).to_have_text("2 problems")
    page.close()


def test_everything_works_without_javascript(
    browser: Browser, server_url: str, board: httpx.Client
) -> None:
    theirs = factories.submit(board, "Theirs", NORM, author="bob")  # type: ignore[arg-type]
    context: BrowserContext = browser.new_context(
        base_url=server_url, java_script_enabled=False, viewport={"width": 360, "height": 800}
    )
    page = context.new_page()
    page.goto(f"/submissions/{theirs.submission_id}")
    page.get_by_role("link", name="Start from this one").click()
    expect(page.locator("#outlook")).to_contain_text("The same config is there already: Theirs")
    text = page.get_by_role("textbox", name="YAML", exact=True)
    text.fill(text.input_value().replace("Theirs", "Mine") + "  model.dropout: 1.5\n")
    page.get_by_label("Author").fill("ada")
    page.get_by_role("button", name="Check").click()
    expect(summary(page)).to_have_text("1 problem")
    expect(page.locator("#outlook")).to_contain_text("Allowed: 0 ≤ x < 1")
    text.fill(text.input_value().replace("1.5", "0.125"))
    page.get_by_role("button", name="Check").click()
    expect(summary(page)).to_have_text("Valid on debug")
    expect(page.get_by_label("Author")).to_have_value("ada")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "submission.yaml"
    assert "author: ada" in download.value.path().read_text()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mine")
    assert page.locator("main").evaluate("element => element.scrollWidth <= 360")
    context.close()
