"""The page of an explanation: what it holds, and that a real browser shows it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import browser
import convsmith as cs
from convsmith.models import report_pictures
from convsmith.models.report import Explanation

L: Any = keras.layers
C = cs.layers

MEASURE = """<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main, .card, .totals, .warning")];
  const images = [...document.images];
  const outside = performance.getEntriesByType("resource")
    .filter(r => !r.name.startsWith("data:")).map(r => r.name);
  document.title = JSON.stringify({
    loaded: images.filter(i => i.complete && i.naturalWidth > 0).length,
    images: images.length,
    fields: [...document.querySelectorAll("svg.rf")]
      .filter(s => s.getBoundingClientRect().width > 20).length,
    rows: document.querySelectorAll("tbody tr").length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    spills: wide.filter(e => e.scrollWidth > e.clientWidth + 1).length,
    outside: outside,
    ground: getComputedStyle(document.body).backgroundColor,
  });
});
</script>"""


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    x = keras.Input((32, 32, 3))
    y = C.StandardizedConv2D(8, 5, strides=2, padding="same", name="first<b>")(x)
    y = L.DepthwiseConv2D(3, name="a_name_that_goes_on_" * 4)(y)
    y = L.Conv2DTranspose(4, 3, strides=2, name="up")(y)
    y = C.FixedConv2D("sobel_x", name="edges")(y)
    return cs.explain(keras.Model(x, L.Dense(2)(L.Flatten()(y)), name="model & co"))


class Tags(HTMLParser):
    """Checks that tags are closed in order, and notes what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        self.loads += [v or "" for k, v in attrs if k in ("src", "href", "data", "srcset")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing(explanation: Explanation, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    page = explanation.to_html(path)
    assert path.read_text(encoding="utf-8") == page
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(one.startswith(("data:image/png", "#")) for one in tags.loads)
    assert not re.search(r"@import|url\(|<script|<link", page)
    assert "model &amp; co" in page
    assert "first&lt;b&gt;" in page
    for report in explanation.layers:
        assert all(pattern.replace(">", "&gt;") in page for pattern in report.patterns)
    for anchor in (one[1:] for one in tags.loads if one.startswith("#")):
        assert f'id="{anchor}"' in page


def test_a_browser_shows_it(explanation: Explanation, tmp_path: Path) -> None:
    found = browser.find()
    if found is None:
        pytest.skip("no Chromium or Chrome on this machine: apt-get install chromium")
    path = tmp_path / "page.html"
    path.write_text(explanation.to_html().replace("</head>", f"{MEASURE}</head>"), "utf-8")
    shown = browser.run(found, path, "--window-size=1280,900", "--dump-dom")
    measured = re.search(r"<title>(.*?)</title>", shown)
    assert measured is not None
    assert measured[1] == (
        '{"loaded":4,"images":4,"fields":4,"rows":6,"overflow":0,"spills":0,"outside":[],'
        '"ground":"rgb(246, 248, 249)"}'
    )
    narrow = browser.run(found, path, "--window-size=500,900", "--dump-dom")
    assert '"overflow":0,"spills":0' in narrow
    picture = tmp_path / "page.png"
    browser.run(found, path, "--window-size=1280,1600", f"--screenshot={picture}")
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == (200, 80, 45)).all(axis=1).sum() > 20  # a kernel's largest entries
    assert (pixels == (246, 248, 249)).all(axis=1).mean() > 0.1


test_a_browser_shows_it = pytest.mark.one_backend(test_a_browser_shows_it)


def test_kernels_are_drawn_with_their_signs() -> None:
    edge = np.zeros((3, 3), "float32")
    edge[0, 0], edge[2, 2] = 1.0, -0.5
    kernel = cs.explain(C.FixedConv2D(edge), (1, 8, 8, 3)).layers[0].kernel
    assert kernel is not None
    shown, count = report_pictures.filters(kernel)
    assert (shown.shape, count) == ((1, 3, 3), 1)
    np.testing.assert_array_equal(shown[0], edge)
    volume = cs.explain(L.Conv3D(30, (3, 2, 4)), (1, 8, 8, 8, 2)).layers[0].kernel
    assert volume is not None
    shown, count = report_pictures.filters(volume)
    assert (shown.shape, count) == ((24, 2, 4), 30)


def test_the_figure_has_a_bar_for_each_layer_and_a_box_for_each_field(
    explanation: Explanation, tmp_path: Path
) -> None:
    figure = explanation.plot()
    bars, fields = figure.axes
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert names[0] == "first<b>"
    assert len(names) == 5
    shares = [patch.get_width() for patch in bars.patches[: len(names)]]
    assert sum(shares) == pytest.approx(100.0)
    widths = {patch.get_width() for patch in fields.patches}
    assert {32.0, 5.0, 9.0} <= widths
    figure.savefig(tmp_path / "plot.png")
    open_ = cs.explain(L.Conv2D(2, 3), (None, None, None, 3)).plot()
    assert "sizes aren't known" in open_.axes[1].get_title(loc="left")
