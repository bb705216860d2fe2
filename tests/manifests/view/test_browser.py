"""The live page in a real browser: it draws, filters, searches, labels, and runs nobody's code."""

import json

import numpy as np
import pytest
from browser import launched, needs_browser

from curate.manifests.questions import log
from curate.manifests.view import Search

pytestmark = needs_browser
PAGES = {
    "#/samples": ".portrait",
    "#/pairs": "article.card",
    "#/sample?id=3": ".tile",
    "#/label": ".say",
}
"""Each page, and what it has once it is drawn."""
# Functions, no expressions: the page's policy lets nobody evaluate a text, playwright neither.
COUNT = "count => document.querySelectorAll('.portrait').length === count"
HASH = "text => location.hash.includes(text)"
DRAWN = "() => [...document.images].every(i => i.complete && i.naturalWidth > 0)"


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(browser, client):
    """Return what opens the page: (page, what its console said and what it asked of others)."""
    contexts = []

    def open_at(where="", width=1280, scheme="light", url=None):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, problems = context.new_page(), []
        page.set_default_timeout(10_000)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        own = (client.server.address, "data:")
        page.on("request", lambda r: r.url.startswith(own) or problems.append(r.url))
        page.goto(url or client.server.url)
        page.wait_for_selector("#main > *")
        if where:
            go(page, where, PAGES[where.partition("&")[0]])
        return page, problems

    yield open_at
    for context in contexts:
        context.close()


def go(page, where, what):
    page.evaluate("where => { location.hash = where }", where)
    page.wait_for_selector(what)


def ask(client, *pairs):
    append = [log.question(pair, 0.5, 0.7, 0) for pair in pairs]
    log.append(client.viewer.desk.path, append)


def noted(client):
    lines = map(json.loads, client.viewer.desk.path.read_text().splitlines())
    return [(r["key_a"], r["key_b"], r["answer"]) for r in lines if r["status"] == "answered"]


def shows(page, key):
    page.wait_for_function(
        "key => document.querySelector('figcaption .key')?.textContent === key", arg=key
    )


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "light")])
def test_every_page_opens_without_error_or_sideways_scroll(opened, client, tiny, width, scheme):
    ask(client, (tiny.keys[10], tiny.keys[20]))
    page, problems = opened(width=width, scheme=scheme)
    for where, what in PAGES.items():
        go(page, where, what)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, where
    assert problems == []


def test_the_token_leaves_the_address_and_without_it_nothing_is_shown(opened, client):
    page, _ = opened()
    assert client.token not in page.url
    assert client.token not in page.content()
    page.reload()
    page.wait_for_selector(".portrait")
    page, _ = opened(url=client.server.address)
    page.wait_for_selector("text=This page is closed")
    assert page.locator(".portrait").count() == 0


def test_text_of_a_corpus_is_text(opened, client, hostile_text, tiny):
    ask(client, (hostile_text, tiny.keys[9]))
    page, problems = opened()
    for where, what in PAGES.items():
        go(page, where, what)
        assert page.get_by_text(hostile_text, exact=True).count() > 0, where
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("main script").count() == 0
        assert "owned" not in page.title()
    assert problems == []


def test_even_markup_that_got_in_would_not_run(opened):
    page, problems = opened("#/samples")
    page.evaluate("document.body.innerHTML += '<img src=x onerror=\"window.owned = 1\">'")
    page.wait_for_timeout(300)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in text for text in problems)


def test_filters_and_search_narrow_and_back_widens(opened, tiny):
    page, _ = opened("#/samples")
    page.select_option("select[name=split]", "val")
    page.wait_for_function(HASH, arg="split=val")
    page.fill("input[type=search]", "circle")
    page.keyboard.press("Enter")
    page.wait_for_function(HASH, arg="q=circle")
    expected = [
        key
        for key, split, captions in zip(tiny.keys, tiny.splits, tiny.captions, strict=True)
        if split == "val" and any("circle" in text for text in captions)
    ]
    page.wait_for_function(COUNT, arg=len(expected))
    assert page.locator(".portrait .key").all_inner_texts() == expected != []
    page.go_back()
    page.wait_for_function(COUNT, arg=min(60, tiny.splits.count("val")))
    page.evaluate("location.hash = '#/samples?q=nothing-like-it'")
    page.wait_for_selector("text=Nothing passes this filter")
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector(".portrait")


def test_more_results_come_on_demand(opened):
    page, _ = opened("#/samples")
    for shown in (60, 120):
        page.wait_for_function(COUNT, arg=shown)
        page.get_by_role("button", name="Show more").click()


@pytest.mark.parametrize("where", ["#/samples", "#/pairs"])
def test_pictures_are_drawn_and_move_nothing(opened, where):
    held, free = [], []
    page, _ = opened(width=390)
    page.route("**/picture/**", lambda r: r.continue_() if free else held.append(r))
    page.reload()
    go(page, where, PAGES[where])
    boxes = """() => [...document.querySelectorAll('.picture')].map(box => {
      const { top, width, height } = box.getBoundingClientRect();
      return [Math.round(width), Math.round(height), Math.round(top + scrollY)];
    })"""
    before = page.evaluate(boxes)
    assert len(before) > 20
    assert all(width == height for width, height, _ in before)
    free.append(True)
    for route in held:
        route.continue_()
    page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    page.wait_for_function(DRAWN)
    assert page.evaluate(boxes) == before


def test_an_anchor_shows_why_and_can_be_judged(opened, client, tiny):
    page, _ = opened()
    go(page, "#/sample?id=17", ".tile")
    tile = page.locator(".role", has_text="Hard negatives").locator(".tile").first
    tile.locator("summary").click()
    assert "negative" in tile.locator(".why p").first.inner_text()
    tile.get_by_role("button", name="Same", exact=True).click()
    page.wait_for_selector("text=Noted: same.")
    ((a, _, said),) = noted(client)
    assert (a, said) == (tiny.keys[17], "yes")


def test_questions_are_answered_by_keys(opened, client, tiny):
    k = tiny.keys
    ask(client, (k[10], k[20]), (k[30], k[40]), (k[50], k[60]), (k[70], k[80]))
    page, problems = opened("#/label")
    assert page.locator("figcaption .key").all_inner_texts() == [k[10], k[20]]
    for key, following in (("s", 30), ("D", 50), ("k", 70)):
        page.keyboard.press(key)
        shows(page, k[following])
    said = [(k[10], k[20], "yes"), (k[30], k[40], "no"), (k[50], k[60], "unsure")]
    assert noted(client) == said
    assert page.locator("#waiting").inner_text() == "1"
    page.keyboard.press("z")
    shows(page, k[50])
    page.keyboard.press("Control+s")
    page.get_by_role("button", name="Different").click()
    shows(page, k[70])
    page.get_by_role("button", name="Same").click()
    page.wait_for_selector("text=Every question is answered")
    assert page.locator("#waiting").inner_text() == ""
    assert noted(client)[3:] == [(k[50], k[60], "no"), (k[70], k[80], "yes")]
    assert problems == []


def test_keys_answer_on_the_page_of_questions_only(opened, client, tiny):
    ask(client, (tiny.keys[10], tiny.keys[20]))
    page, _ = opened("#/label")
    go(page, "#/samples", ".portrait")
    page.keyboard.press("s")
    page.fill("input[type=search]", "sdk")
    page.wait_for_timeout(200)
    assert noted(client) == []


def test_without_questions_more_can_be_asked(opened, client):
    page, problems = opened()
    go(page, "#/label", "text=No question is waiting")
    page.fill("#budget", "7")
    page.get_by_role("button", name="Ask more").click()
    page.wait_for_selector(".say")
    assert page.locator("#waiting").inner_text() == "7"
    assert len(client.viewer.desk.path.read_text().splitlines()) == 7
    assert problems == []


def test_a_text_is_looked_up_by_meaning_where_an_encoder_is(browser, hostile, serve, tiny):
    search = Search(None, {"image": lambda text: tiny.image[int(text)].astype(np.float32)})
    with serve(hostile, search=search) as client:
        page = browser.new_page()
        page.goto(client.server.url)
        page.wait_for_selector(".portrait")
        page.select_option("select[name=how]", "image")
        page.fill("input[type=search]", "42")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Most similar to the text")
        page.wait_for_selector(".portrait b")
        assert page.locator(".portrait b").first.inner_text() == "1.000"
        page.locator(".portrait a").first.click()
        page.get_by_role("link", name="Similar in image").click()
        page.wait_for_selector("text=Most similar to sample")
        page.close()


def test_a_server_that_ended_is_told(opened):
    page, _ = opened("#/samples")
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("location.hash = '#/pairs'")
    page.wait_for_selector("text=The server does not answer")
