"""A report in a real browser: size, time to open, accessibility, console, requests.

    pip install playwright && npm pack axe-core && tar xzf axe-core-*.tgz
    python -m benchmarks.report_page --axe package/axe.min.js reports/night/report.html

It is opened in Chromium at two widths, in light and dark, as a reader opens it, and then searched
for violations by axe-core with all of its parts unfolded. Ends with status 1 if one of the bounds
is missed.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.tables import machine, table

_WIDTHS = (1280, 400)
_SCHEMES = ("light", "dark")
_MOST_BYTES = 3_000_000
_MOST_S = 2.0
_DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_UNFOLD = "() => document.querySelectorAll('details').forEach(each => { each.open = true; })"
_TOO_WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@dataclass(frozen=True)
class View:
    """What one opening of the page showed; `opened_s` is until everything was drawn."""

    width: int
    scheme: str
    opened_s: float
    violations: Sequence[str]
    complaints: Sequence[str]
    requests: Sequence[str]
    too_wide: bool

    @property
    def is_good(self) -> bool:
        faults = (self.violations, self.complaints, self.requests, self.too_wide)
        return self.opened_s <= _MOST_S and not any(faults)


def views(browser: Browser, page: Path, axe: str) -> Iterator[View]:
    for width in _WIDTHS:
        for scheme in _SCHEMES:
            yield _view(browser, page, axe, width, scheme)


def _view(browser: Browser, page: Path, axe: str, width: int, scheme: str) -> View:
    # axe-core is a script that the page's own policy would not let in.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    complaints: list[str] = []
    requests: list[str] = []
    tab = context.new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    began = time.perf_counter()
    tab.goto(page.resolve().as_uri())
    tab.evaluate(_DRAWN)
    opened_s = time.perf_counter() - began
    too_wide = tab.evaluate(_TOO_WIDE)
    tab.evaluate(_UNFOLD)
    tab.evaluate(axe)
    found = tab.evaluate("() => axe.run()")["violations"]
    context.close()
    violations = [f"{each['id']} ({len(each['nodes'])})" for each in found]
    return View(width, scheme, opened_s, violations, complaints, requests[1:], too_wide)


def report(size: int, seen: Sequence[View]) -> str:
    headings = ["width", "scheme", "opened, s", "violations", "console", "requests", "too wide"]
    rows = [
        [
            str(view.width),
            view.scheme,
            f"{view.opened_s:.2f}",
            ", ".join(view.violations) or "0",
            str(len(view.complaints)),
            str(len(view.requests)),
            "yes" if view.too_wide else "no",
        ]
        for view in seen
    ]
    return f"{machine()}. The page has {size / 1e6:.2f} MB.\n\n{table(headings, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of axe-core")
    parser.add_argument("--chromium", help="its path; without it, the one of Playwright")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox"]
        )
        seen = list(views(browser, options.page, options.axe.read_text(encoding="utf-8")))
        browser.close()
    size = options.page.stat().st_size
    print(report(size, seen))
    sys.exit(not (size <= _MOST_BYTES and all(view.is_good for view in seen)))


if __name__ == "__main__":
    main()
