"""The page in a real browser: no error, no request, no sideways scroll, filters that work."""

import pytest
from browser import launched, needs_browser

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(browser, report):
    """Open the page at a size; yields a function that returns (page, problems)."""
    contexts = []

    def open_at(width, scheme="light", script=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        contexts.append(context)
        page, problems = context.new_page(), []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url))
        page.goto(report.as_uri())
        return page, problems

    yield open_at
    for context in contexts:
        context.close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(320, "light"), (390, "light"), (1280, "light"), (1280, "dark")]
)
def test_the_page_opens_without_error_request_or_sideways_scroll(opened, report, width, scheme):
    page, problems = opened(width, scheme)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_timeout(100)
    assert [p for p in problems if not p.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_follows_the_system(opened):
    colours = [
        opened(800, scheme)[0].evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert colours[0] != colours[1]


@pytest.mark.parametrize("flag", ["masked", "refused", "suspicious"])
def test_filters_show_their_cards_only(opened, flag):
    page, _ = opened(1280)
    button = page.locator(f"button[data-flag={flag}]")
    button.click()
    shown = page.locator("article.card:visible")
    assert shown.count() == int(button.locator(".n").inner_text()) > 0
    for card in shown.all():
        assert flag in card.get_attribute("data-flags").split()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".filters output").inner_text() == f"{shown.count()} of 24 anchors"
    page.locator("button[data-flag='']").click()
    assert page.locator("article.card:visible").count() == 24


def test_the_keyboard_reaches_the_filters(opened):
    page, _ = opened(1280)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    button = page.locator("button[data-flag=masked]")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_all_pictures_are_drawn(opened):
    page, _ = opened(1280)
    page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    page.evaluate(
        "document.querySelectorAll('.card').forEach(c => c.style.contentVisibility='visible')"
    )
    page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("document.images.length") > 100


def test_without_script_everything_is_shown(opened):
    page, _ = opened(1280, script=False)
    assert page.locator("article.card:visible").count() == 24
    assert page.locator(".filters:visible").count() == 0
