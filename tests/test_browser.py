"""The report in a real browser: Debian's or the user's Chromium, driven by Playwright."""

import json

import numpy as np
import pytest
import runs
from conftest import PROJECT
from javascript import ARGUMENTS, CHROMIUM
from runs import FURTHER, HOSTILE_CLASSES, VARIANTS, make_run, page_of

from flaxtext.config.params import read_params
from flaxtext.report.page import SCRIPTS, render_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
DOCUMENTS = 200
SHOWN = VARIANTS | FURTHER
OWN_SCRIPTS = 2 + len(SCRIPTS)  # the data, and the library that draws charts


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; make test installs it")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open a page file and wait for its charts; it must ask for nothing else and report no error."""
    contexts, noise = [], []

    def open_page(path, width=1200, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request: noise.append(request.url) if request.url != path.as_uri() else None)
        page.on("dialog", lambda dialog: noise.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


@pytest.fixture(scope="module")
def hostile():
    return runs.hostile()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(page_of(runs.hostile), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pydocs_run():
    return runs.of_docstrings()


@pytest.fixture(scope="module")
def pydocs_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(page_of(runs.of_docstrings), encoding="utf-8")
    return path


def mistakes_of(page):
    return json.loads(
        page.evaluate("portable.unpackText(JSON.parse(document.getElementById('page-data').textContent).mistakes)")
    )


def test_every_chart_is_drawn(visit, pydocs_page):
    page = visit(pydocs_page)
    places = page.locator("[data-chart]")
    assert places.count() >= 10
    assert page.locator("[data-chart] svg").count() == places.count()
    assert page.title() == "pydocs: the report"


def test_charts_follow_the_page_into_the_dark(visit, pydocs_page):
    colors = []
    for scheme in ("light", "dark"):
        page = visit(pydocs_page, scheme=scheme)
        label = page.locator("[data-chart=train_loss] .role-axis-label text").first
        colors.append(
            (
                label.evaluate("e => getComputedStyle(e).fill"),
                page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor"),
            )
        )
    assert colors[0][0] != colors[1][0]
    assert colors[0][1] != colors[1][1]


def test_the_box_answers_as_the_models_do(visit, pydocs_page, pydocs_run):
    page = visit(pydocs_page)
    rows = np.random.default_rng(0).choice(len(pydocs_run.texts), DOCUMENTS, replace=False)
    texts = [pydocs_run.texts[int(row)] for row in rows]
    texts[:3] = ["", "zzzunknown", "ΑΣ.Α İΣ \u2028 arrays\r\narray\tArray"]
    answers = page.evaluate("texts => texts.map(flaxtext.predict)", texts)
    for name in SHOWN:
        expected = pydocs_run.models[name].predict_proba(texts)
        found = np.array([answer[name] for answer in answers])
        assert expected.max(axis=1).mean() > 0.5  # the models have opinions
        np.testing.assert_allclose(found, expected, atol=0.02)
        assert np.mean(np.abs(found - expected)) < 0.002


def test_prefixes_are_of_letters_and_make_ngrams(visit, tmp_path):
    words = ["🦊a", "🦊b", "🐻a", "🐻b", "éa", "ña", "e\u0301a", "ab", "abc", "a"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, rng.integers(1, 12))) for _ in range(800)]
    labels = np.array([("🦊b 🐻" in text) + ("a ab" in text) * 2 for text in texts])
    own = {"pooling": "mean_max", "embed_dim": 8, "hidden": 0, "prefix": 1, "ngrams": 3, "learning_rate": 0.05}
    run = make_run(texts, labels, texts, labels, list("wxyz"), epochs=20, variants={"own": own}, trained=["own"])
    path = tmp_path / "index.html"
    path.write_text(render_report(run), encoding="utf-8")
    answers = visit(path).evaluate("texts => texts.map(flaxtext.predict)", texts)
    expected = run.models["own"].predict_proba(texts)
    assert np.ptp(expected, axis=0).min() > 0.5
    np.testing.assert_allclose([answer["own"] for answer in answers], expected, atol=0.02)


def test_typing_shows_probabilities_and_words_at_once(visit, pydocs_page, pydocs_run):
    page = visit(pydocs_page)
    text = "Return the zzzunknown DataFrame, pandas."
    page.locator("#try-text").fill(text)
    cards = page.locator("#try-answers article")
    assert cards.count() == len(SHOWN)
    for index, (name, model) in enumerate(pydocs_run.models.items()):
        card = cards.nth(index)
        assert card.locator("h3").inner_text() == name
        [expected] = model.predict_proba([text])
        shown = [float(value) for value in card.locator(".bars .number").all_inner_texts()]
        np.testing.assert_allclose(shown, expected, atol=0.02)
        assert card.locator(".text").inner_text() == text
        assert card.locator(".unknown").all_inner_texts() == ([] if model.reads_unknown else ["zzzunknown"])
        predicted = expected.argmax()
        for word in ("pandas", "DataFrame"):
            shortened = text.replace(f" {word}", "")
            mark = card.locator("mark", has_text=word)
            if mark.count():
                weight = float(mark.get_attribute("title").replace("−", "-"))
                without = model.predict_proba([shortened])[0, predicted]  # its new pairs count
                assert weight == pytest.approx(expected[predicted] - without, abs=0.03)
    assert page.locator("#try-status").inner_text() == "5 words, 1 of them unknown"
    page.get_by_role("button", name="Example: pandas").click()
    assert page.locator("#try-text").input_value() != text


def test_the_example_shown_first_is_answered(visit, pydocs_page):
    page = visit(pydocs_page)
    assert page.locator("#try-answers article").count() == len(SHOWN)
    assert len(page.locator("#try-text").input_value()) > 50


def test_mistakes_are_filtered_and_searched(visit, pydocs_page):
    page = visit(pydocs_page)
    mistakes = mistakes_of(page)
    classes, variants = list(read_params(PROJECT / "params.yaml").sources["pydocs"].packages), list(SHOWN)
    count, cards = page.locator("#mistakes-count"), page.locator("#mistakes-list article")
    assert count.inner_text() == f"{len(mistakes)} of {len(mistakes)} documents"
    assert cards.count() == 10
    page.locator("#mistakes-more").click()
    assert cards.count() == 20

    page.locator("#mistakes-variant").select_option("sum_20")
    page.locator("#mistakes-true").select_option("NumPy")
    page.locator("#mistakes-predicted").select_option("pandas")
    wanted = [
        mistake
        for mistake in mistakes
        if classes[mistake["true"]] == "NumPy"
        and any(
            variants[answer["variant"]] == "sum_20" and classes[answer["predicted"]] == "pandas"
            for answer in mistake["answers"]
        )
    ]
    assert wanted
    assert count.inner_text().startswith(f"{len(wanted)} of ")
    pressed = page.locator("#mistakes-list button[aria-pressed=true]").all_inner_texts()
    assert len(pressed) == min(10, len(wanted))
    assert all(text.startswith(("sum_20: pandas 0.", "sum_20: pandas 1.")) for text in pressed)
    assert cards.first.locator(".text").inner_text().split() == wanted[0]["text"].split()

    page.locator("#mistakes-search").fill("  ARRAY ")
    found = [mistake for mistake in wanted if "array" in mistake["text"].lower()]
    assert count.inner_text().startswith(f"{len(found)} of ")
    page.locator("#mistakes-search").fill("no such words anywhere")
    assert count.inner_text().startswith("0 of ")
    assert cards.count() == 0
    assert page.locator("#mistakes-more").is_hidden()


def test_a_pair_of_classes_leads_to_its_mistakes(visit, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page_of(runs.of_many_classes), encoding="utf-8")
    page = visit(path)
    page.locator("#mistakes-search").fill("no such words anywhere")
    link = page.locator("a[data-true]").last
    row = link.locator("xpath=ancestor::tr").locator("td").all_inner_texts()
    link.click()
    assert page.locator("#mistakes-count").inner_text().startswith(f"{link.inner_text()} of ")
    card = page.locator("#mistakes-list article").first
    assert card.locator("h4").inner_text() == f"True class: {row[0]}"
    assert f": {row[1]} 0." in card.locator("button[aria-pressed=true]").inner_text()
    assert page.locator("#try-answers .bars").first.locator(".name").count() == 8


def test_a_mistake_shows_each_variants_words(visit, pydocs_page):
    page = visit(pydocs_page)
    cards = page.locator("#mistakes-list article")
    # One whose first answer hangs on its words: a variant may be so sure that none matters.
    shown = [place for place in range(cards.count()) if cards.nth(place).locator("mark").count()]
    card = cards.nth(shown[0])
    buttons = card.locator("button")
    before = card.locator("mark").evaluate_all("marks => marks.map(mark => mark.title)")
    buttons.last.focus()
    page.keyboard.press("Enter")
    assert buttons.last.get_attribute("aria-pressed") == "true"
    assert card.locator("button[aria-pressed=true]").count() == 1
    if buttons.count() > 1:
        assert card.locator("mark").evaluate_all("marks => marks.map(mark => mark.title)") != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(visit, pydocs_page, hostile_page, scheme):
    for path in (pydocs_page, hostile_page):
        page = visit(path, width=390, scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.evaluate("scrollTo(500, 0)")
        assert page.evaluate("scrollX") == 0


def test_hostile_texts_and_classes_are_text(visit, hostile_page, hostile):
    page = visit(hostile_page)
    assert page.title() == "pydocs: the report"
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == OWN_SCRIPTS
    shown = page.locator("#mistakes-list article .text").evaluate_all("all => all.map(one => one.textContent)")
    mistakes = mistakes_of(page)
    assert shown == [mistake["text"] for mistake in mistakes[: len(shown)]]
    assert {mistake["text"] for mistake in mistakes} <= set(hostile.texts.values())
    options = page.locator("#mistakes-true option").evaluate_all("all => all.slice(1).map(one => one.textContent)")
    assert options == HOSTILE_CLASSES
    for name in HOSTILE_CLASSES[:3]:
        assert name[:8] in page.locator("[data-chart=f1] svg").text_content()
    page.locator("#try-text").fill("</textarea><script>document.title = 1</script> one 🦊 שלום")
    assert page.locator("#try-answers mark, #try-answers .text").first.is_visible()
    assert page.locator("script").count() == OWN_SCRIPTS
    page.locator("[data-chart=confusion-0] .mark-text text").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    assert HOSTILE_CLASSES[0] in tooltip.text_content()


def test_every_control_is_reached_by_keyboard(visit, pydocs_page):
    page = visit(pydocs_page)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('href')"))
    assert {"#results", "#mistakes", "try-text", "mistakes-variant", "mistakes-true", "mistakes-predicted"} <= reached
    assert {"mistakes-search"} <= reached
