"""A report in a browser: chromium, by keyboard and pointer, wide, narrow and dark."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace

import pytest

from heatkp.config import Head
from heatkp.viz.report import data, page
from tests.viz.reports import NASTY, renamed, report_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium with chromedriver: the report is not tried out"
)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1200,900",
)  # fmt: skip

# The smallest contrast of the page's texts with what is behind them, and the text that has it.
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const parse = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
};
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255, 1];
};
let least = [99, ""];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || node.closest("script, style, option, noscript") || !node.getClientRects().length) {
    continue;
  }
  const style = getComputedStyle(node);
  const fore = parse(node.closest("svg") ? style.fill : style.color), back = behind(node);
  const backs = [back];
  if (node.closest(".bar")) backs.push(parse(style.getPropertyValue("--bar")));
  for (const one of backs) {
    const [high, low] = [light(fore), light(one)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least[0]) least = [ratio, text];
  }
}
return least;
"""
CHOOSE = """
const control = document.querySelector(arguments[0]);
control.value = arguments[1];
for (const name of ["input", "change"]) control.dispatchEvent(new Event(name, { bubbles: true }));
"""
PIXELS = """
const canvas = document.querySelectorAll(".view canvas")[arguments[0]];
return canvas.toDataURL();
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def file(tiny_run, tmp_path_factory):
    """A page of three runs, one without maps, whose names try to break out."""
    runs = [
        replace(renamed(report_run(tiny_run, "a", count=4), i1=NASTY), name=f"tiny {NASTY}"),
        renamed(report_run(tiny_run, "kl", "kl", count=4), i1=NASTY),
        renamed(report_run(tiny_run, "plain", "regression", count=4), i1=NASTY),
    ]
    path = tmp_path_factory.mktemp("page") / "a b&c.html"
    path.write_text(page.build(data.on_common_samples(runs), 4).html, encoding="utf-8")
    return path


class Viewer:
    """The page as a user has it before them."""

    def __init__(self, browser, file):
        from selenium.webdriver.common.by import By

        self.browser, self.by = browser, By.CSS_SELECTOR
        browser.get(file.as_uri())
        self.settled()

    def one(self, selector):
        return self.browser.find_element(self.by, selector)

    def all(self, selector):
        return self.browser.find_elements(self.by, selector)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def settled(self):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 60).until(
            lambda d: d.find_element(self.by, "#panel").get_attribute("aria-busy") == "false"
        )

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()
        self.settled()

    def centre(self, node):
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
        return node

    def hover(self, node):
        from selenium.webdriver.common.action_chains import ActionChains

        self.centre(node)
        ActionChains(self.browser).move_to_element(node).perform()
        self.settled()

    def choose(self, selector, value):
        self.run(CHOOSE, selector, value)
        self.settled()

    @property
    def keypoint(self):
        return int(self.one("#point").get_attribute("value"))

    @property
    def face(self):
        return self.one(".card[aria-current=true]").get_attribute("data-face")

    def cards(self):
        return [c.get_attribute("data-face") for c in self.all(".card")]

    def pixels(self, canvas=0):
        return self.run(PIXELS, canvas)


@pytest.fixture
def viewer(browser, file):
    return Viewer(browser, file)


def test_it_loads_by_itself(browser, file):
    browser.get_log("browser"), browser.get_log("performance")
    viewer = Viewer(browser, file)
    assert [e["message"] for e in browser.get_log("browser")] == []
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert asked and {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert len([url for url in asked if url.startswith("file")]) == 1
    assert NASTY.strip() in viewer.one(".runs").text
    assert not viewer.all("img[src=x]") and len(viewer.all(".card")) == 4


def test_pointing_at_a_keypoint_shows_it(viewer):
    before, pixels, close = viewer.keypoint, viewer.pixels(0), viewer.pixels(1)
    other = 30 if before != 30 else 8
    viewer.hover(viewer.one(f".view [data-point='{other}'] .dot"))
    chosen = viewer.keypoint
    assert chosen != before
    assert viewer.pixels(0) != pixels and viewer.pixels(1) != close
    facts = viewer.one(".view .facts").text
    name = viewer.run("return document.querySelector('#point').selectedOptions[0].text")
    assert name.split()[1] in facts and "inter-ocular" in facts and "px" in facts
    assert {n.get_attribute("data-point") for n in viewer.all(".keypoint.chosen")} == {str(chosen)}
    assert "without maps" in viewer.all(".view")[2].text


def test_keys(viewer):
    from selenium.webdriver.common.keys import Keys

    viewer.run("document.getElementById('panel').focus()")
    order, point = viewer.cards(), viewer.keypoint
    assert viewer.face == order[0]
    viewer.press(Keys.ARROW_RIGHT)
    assert viewer.face == order[1] and viewer.keypoint == point
    viewer.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert viewer.face == order[-1]
    viewer.press(Keys.ARROW_DOWN)
    assert viewer.keypoint == (point + 1) % 68
    viewer.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert viewer.keypoint == (point - 1) % 68
    viewer.run("document.querySelector('.keypoint.chosen').focus()")
    viewer.press(Keys.ARROW_DOWN)
    focused = viewer.run("return document.activeElement.dataset.point")
    assert int(focused) == viewer.keypoint == point
    viewer.run("document.getElementById('panel').focus()")
    outlined = viewer.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outlined != "none"
    viewer.centre(viewer.one("#blend")).click()
    viewer.press(Keys.ARROW_RIGHT)  # belongs to the slider there
    assert viewer.keypoint == point


def test_the_slider_and_the_kind_of_map_change_the_canvas(viewer):
    seen = set()
    for value in ("0", "50", "100"):
        viewer.choose("#blend", value)
        seen.add(viewer.pixels(0))
    for kind in ("true", "both"):
        viewer.run(f"document.querySelector('input[name=map][value={kind}]').click()")
        viewer.settled()
        seen.add(viewer.pixels(0))
    assert len(seen) == 5


def test_sorting(viewer):
    def errors():
        return [float(c.text.split()[0]) for c in viewer.all(".card b")]

    assert errors() == sorted(errors(), reverse=True)
    first = viewer.cards()
    viewer.choose("#order", "best")
    assert errors() == sorted(errors()) and viewer.cards() != first
    viewer.choose("#order", "name")
    names = [c.get_attribute("title") for c in viewer.all(".card small")]
    assert names[1:] == sorted(names[1:]) and set(names) >= {NASTY}
    viewer.choose("#order", "turn")
    turns = [abs(int(c.text.split("turned ")[1][:-1])) for c in viewer.all(".card b")]
    assert turns == sorted(turns, reverse=True)
    viewer.centre(viewer.all(".card")[2]).click()
    viewer.settled()
    assert viewer.face == viewer.cards()[2]
    assert viewer.run("return document.activeElement.id") == "panel"


def test_tables_sort(viewer):
    def values():
        cells = viewer.all("#keypoints tbody tr td:nth-of-type(1)")
        return [float(c.get_attribute("data-value")) for c in cells]

    head = "#keypoints thead tr:last-child th:nth-of-type(2)"
    before = values()
    viewer.run(f"document.querySelector('{head} button').click()")
    assert values() == sorted(before, reverse=True) and values() != before
    assert viewer.one(head).get_attribute("aria-sort") == "descending"
    viewer.run(f"document.querySelector('{head} button').click()")
    assert values() == sorted(before)


def test_runs_switch(viewer):
    from selenium.webdriver.common.keys import Keys

    assert len(viewer.all(".view")) == 3
    titles = viewer.all(".view h3")
    viewer.run("document.getElementById('beside').click()")
    viewer.settled()
    assert len(viewer.all(".view")) == 1
    first = viewer.pixels(0)
    captions = viewer.one(".card b").text
    viewer.run("document.getElementById('panel').focus()")
    viewer.press("2")
    assert viewer.one(".view").get_attribute("data-run") == "1"
    assert viewer.pixels(0) != first and viewer.one("input[value='1'][name=run]").is_selected()
    assert viewer.one(".card b").text != captions
    viewer.press("3", Keys.ARROW_DOWN)
    assert "regression run" in viewer.one(".view").text and len(viewer.all(".view canvas")) == 2
    assert titles


def test_captions_say_what_training_asks_for(browser, tiny_run, tmp_path):
    heads = [
        Head(name="softargmax", regulariser="none"),
        Head(name="softargmax", regulariser="variance"),
        Head(name="kl"),
        Head(name="nll"),
        Head(name="marginal"),
    ]
    runs = [report_run(tiny_run, str(i), head, count=1) for i, head in enumerate(heads)]
    path = tmp_path / "page.html"
    path.write_text(page.build(data.on_common_samples(runs), 1).html, encoding="utf-8")
    captions = [c.text for c in Viewer(browser, path).all(".closeup-true figcaption")]
    expected = (
        "none, training asks for a mean", "Gaussian of the mean and width that",
        "what training asks for.", "the width that it learned", "row and column sums",
    )  # fmt: skip
    assert len(captions) == 5
    for caption, words in zip(captions, expected):
        assert "True map: " in caption and words in caption


def test_curves_show_values(viewer):
    chart = viewer.one("#validation svg")
    viewer.hover(chart)
    text = viewer.one("#validation .values").text
    assert "epoch" in text and text.count(":") == 3
    viewer.run("document.querySelector('#cumulative svg').focus()")
    from selenium.webdriver.common.keys import Keys

    viewer.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "mean error up to 0.1 %" in viewer.one("#cumulative .values").text


def test_settings_search(viewer):
    viewer.choose("#search", "head.name")
    shown = [r for r in viewer.all(".setting") if r.is_displayed()]
    assert len(shown) == 1 and "softargmax" in shown[0].text
    viewer.choose("#search", "")
    viewer.run("document.getElementById('differences').click()")
    shown = [r for r in viewer.all(".setting") if r.is_displayed()]
    assert shown and all("differs" in r.get_attribute("class") for r in shown)


def test_a_phone(browser, file):
    metrics = {"width": 375, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        viewer = Viewer(browser, file)
        wide = viewer.run("for (const d of document.querySelectorAll('details')) d.open = true;"
                          "return document.documentElement.scrollWidth")  # fmt: skip
        assert wide <= 375
        assert len(viewer.all(".view")) == 1
        assert viewer.one(".view .stage").size["width"] > 280
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(browser, file, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        viewer = Viewer(browser, file)
        back = viewer.run("return getComputedStyle(document.body).backgroundColor")
        dark = sum(map(int, back.removeprefix("rgb(").rstrip(")").split(","))) < 200
        assert dark == (scheme == "dark")
        viewer.run("for (const d of document.querySelectorAll('details')) d.open = true")
        ratio, text = viewer.run(CONTRAST)
        assert ratio >= 4.5, f"{text!r} has a contrast of {ratio:.2f}"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_on_paper(viewer):
    printed = viewer.browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert base64.b64decode(printed["data"])[:5] == b"%PDF-"
    assert all(d.get_attribute("open") for d in viewer.all("details"))
