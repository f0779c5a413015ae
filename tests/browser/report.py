"""Opens pages that `onnx-sap --html` has written in a real browser, by day, by night, on a phone and for print, and fails where
one says something to the console, asks for anything but itself, lacks a figure, is wider than a phone, or shows what cannot be
read.

    report.py [--browser /usr/bin/chromium] [--images PAGE]... [--comparison PAGE]... [--screenshot FILE] PAGE...

What the checks are worth is checked, too: the first page is broken in every way that they are for, and each must be found.
"""

import argparse
import pathlib
import re
import sys
import tempfile

from playwright.sync_api import sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = 360, 1200
VIEWS = [
    ("desk, day", DESK, "light"),
    ("desk, night", DESK, "dark"),
    ("phone, day", PHONE, "light"),
    ("phone, night", PHONE, "dark"),
]

# Letters of charts on a phone, in pixels; contrast as WCAG counts it: for text, and for numbers on shaded cells.
SMALLEST_LETTERS, CONTRAST, CONTRAST_OF_CELLS = 9.5, 4.5, 3.0

LOOK = """
([smallest, contrast, contrastOfCells]) => {
  const problems = [];
  const say = (problem) => { if (problems.length < 20) problems.push(problem); };
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const pixel = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([red, green, blue]) => {
    const linear = (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [red, green, blue].map((byte) => linear(byte / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = pixel(getComputedStyle(element).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const seen = (element) => element.getClientRects().length > 0;
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;

  // Words: each piece of text against what lies behind it.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const [text, element] = [walker.currentNode.textContent.trim(), walker.currentNode.parentElement];
    if (!text || !seen(element)) continue;
    const style = getComputedStyle(element);
    const ink = pixel(element instanceof SVGElement ? style.fill : style.color);
    const found = ratio(ink, behind(element));
    const wanted = element.closest('table.matrix tbody td') ? contrastOfCells : contrast;
    if (ink[3] < 255 || found < wanted) say(`"${text}" cannot be read: contrast ${found.toFixed(2)}`);
  }

  // Charts: letters of a readable size, within the chart, and not on top of each other; marks that differ from the page.
  const charts = [...document.querySelectorAll('svg.chart')].filter(seen);
  for (const chart of charts) {
    const name = chart.getAttribute('aria-label');
    if (chart.getAttribute('role') !== 'img' || !name) say('a chart has no name for those who do not see it');
    const frame = chart.getBoundingClientRect();
    const words = [...chart.querySelectorAll('text')].filter((word) => word.textContent.trim());
    const said = (word) => `"${word.textContent.trim()}"`;
    if (words.length < 3) say(`${name}: there are hardly any words`);
    const boxes = words.map((word) => word.getBoundingClientRect());
    words.forEach((word, at) => {
      const size = parseFloat(getComputedStyle(word).fontSize) * chart.getScreenCTM().a;
      if (size < smallest) say(`${name}: ${said(word)} is ${size.toFixed(1)} pixels high`);
      const box = boxes[at];
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2) {
        say(`${name}: ${said(word)} is cut off`);
      }
      for (let other = at + 1; other < words.length; other += 1) {
        if (!apart(box, boxes[other])) say(`${name}: ${said(word)} and ${said(words[other])} overlap`);
      }
    });
    const marks = [...chart.querySelectorAll('rect, polyline, polygon, circle')];
    const visible = marks.filter((mark) => {
      const style = getComputedStyle(mark);
      const colour = [style.fill, style.stroke].filter((paint) => paint !== 'none').map(pixel);
      return colour.some((paint) => ratio(paint, behind(chart)) > 1.3);
    });
    if (visible.length === 0) say(`${name}: nothing is drawn that can be seen`);
  }

  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) say(`${image.alt} is no image`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) say(`the page is ${scrollWidth} pixels wide where there are ${clientWidth}`);
  const paper = luminance(behind(document.body));
  return { problems, paper, charts: charts.length, images: document.images.length };
}
"""

FIGURE = """
(id) => {
  const all = document.querySelectorAll(`[id="${id}"]`);
  if (all.length !== 1) return `${all.length} elements`;
  const box = all[0].getBoundingClientRect();
  if (box.width < 100 || box.height < 20) return `${box.width} × ${box.height} pixels`;
  const inside = all[0].querySelector('svg.chart, table, img, dl, pre, ul.suspects, .missing, .value');
  return inside ? '' : 'nothing in it';
}
"""


def figures(name):
    """The ids of the figures of a kind of page, from where the program has them."""
    source = pathlib.Path(__file__).parents[2] / "src/report/html" / name
    listed = re.search(r"FIGURES: &\[&str\] = &\[(.*?)\];", source.read_text(), re.DOTALL)
    return re.findall(r'"([^"]+)"', listed.group(1))


def problems(browser, path, expected, wants_images, least_charts=3):
    """What is wrong with a page."""
    found = []
    for view, width, scheme in VIEWS:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        url = path.resolve().as_uri()
        say = lambda problem: found.append(f"{path.name}, {view}: {problem}")  # noqa: E731
        page.on("console", lambda message: message.type in ("error", "warning") and say(f"console: {message.text}"))
        page.on("pageerror", lambda error: say(f"error: {error}"))
        asked = lambda request: request.url.startswith("data:") or request.url == url  # noqa: E731
        page.on("request", lambda request: asked(request) or say(f"asks for {request.url}"))
        page.goto(url, wait_until="load")
        page.evaluate("document.querySelectorAll('details').forEach((more) => { more.open = true; })")
        for figure in expected:
            wrong = page.evaluate(FIGURE, figure)
            if wrong:
                say(f"{figure}: {wrong}")
        looked = page.evaluate(LOOK, [SMALLEST_LETTERS, CONTRAST, CONTRAST_OF_CELLS])
        for problem in looked["problems"]:
            say(problem)
        if (looked["paper"] < 0.2) != (scheme == "dark"):
            say(f"the page does not follow the {scheme} scheme")
        if wants_images and looked["images"] == 0:
            say("there are no pictures of samples")
        if looked["charts"] < least_charts:
            say(f"there are {looked['charts']} charts")
        if view == "desk, night":
            # Paper is white whatever the screen is like.
            page.emulate_media(media="print")
            printed = page.evaluate(LOOK, [0, CONTRAST, CONTRAST_OF_CELLS])
            if printed["paper"] < 0.9:
                say("it is printed on dark paper")
            found.extend(f"{path.name}, printed: {problem}" for problem in printed["problems"])
        context.close()
    return found


def broken(page):
    """A page broken in every way that the checks are for: what is wrong, and the page."""
    end = "</main>"
    yield "a script", page.replace(end, "<script>1</script>" + end)
    yield "a request", page.replace(end, '<img src="http://127.0.0.1:9/x.png" alt="x">' + end)
    yield "a figure less", page.replace('id="fig-losses-after"', 'id="fig-other"')
    empty = r"\1<div style='height:60px'></div></figure>"
    yield "an empty figure", re.sub(r'(<figure id="fig-command">).*?</figure>', empty, page, flags=re.DOTALL)
    yield "too wide", page.replace(end, '<div style="width:500px">x</div>' + end)
    yield "white on white", page.replace("--text: #1b2430", "--text: #fafafa")
    yield "black on black", page.replace("--text: #e5eaf1", "--text: #0a0a0a")
    yield "a chart that does not follow the night", page.replace('fill="var(--text)"', 'fill="#1b2430"')
    yield "small letters", page.replace(".chart text {", ".chart text { font-size: 20px; ")
    yield "large letters", page.replace(".chart text {", ".chart text { font-size: 150px; ")
    faded = "".join(f"--{ink}:var(--paper);" for ink in ("before", "after", "other", "line"))
    words = 'fill="var(--text)"'
    charts = page.replace(words, 'class="words"').replace("</style>", ".words { fill: currentColor; }</style>")
    yield "no colours", charts.replace('<svg class="chart"', f'<svg style="{faded}--text:var(--paper)" class="chart"')
    yield "no night", page.replace("prefers-color-scheme: dark", "prefers-color-scheme: none")
    yield "a picture that is none", page.replace("base64,", "base64,!")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--images", action="append", default=[], type=pathlib.Path, help="a page that must show pictures")
    parser.add_argument("--comparison", action="append", default=[], type=pathlib.Path, help="a page of `onnx-sap compare`")
    parser.add_argument("--screenshot", type=pathlib.Path, help="the top of the first page goes here")
    options = parser.parse_args()
    expected, of_comparison = figures("mod.rs"), figures("comparison.rs")
    failed = False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=ARGUMENTS)
        for path in options.pages + options.comparison:
            if path in options.comparison:
                wrong = problems(browser, path, of_comparison, False, least_charts=1)
            else:
                wrong = problems(browser, path, expected, path in options.images)
            failed |= bool(wrong)
            print(f"{path.name}: {len(wrong)} problems")
            for problem in wrong:
                print(f"  {problem}")
        with tempfile.TemporaryDirectory() as folder:
            page, ways = options.pages[0].read_text(), 0
            for what, text in broken(page):
                if text == page:
                    sys.exit(f"the page cannot be broken by {what}: the check must be brought up to date")
                path = pathlib.Path(folder) / "broken.html"
                path.write_text(text)
                ways += 1
                if not problems(browser, path, expected, True):
                    failed = True
                    print(f"a page with {what} passes")
            print(f"a page that is broken in {ways} ways is found to be each time" if not failed else "failed")
        if options.screenshot:
            page = browser.new_page(viewport={"width": DESK, "height": 1450}, color_scheme="light")
            page.goto(options.pages[0].resolve().as_uri())
            page.screenshot(path=options.screenshot)
        browser.close()
    sys.exit(int(failed))


main()
