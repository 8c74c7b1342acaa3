"""The pages of a service in a real browser: accessibility, console, requests, size, width.

    pip install playwright && npm pack axe-core && tar xzf axe-core-*.tgz
    python -m benchmarks.service_look --axe package/axe.min.js --url http://127.0.0.1:8900 \\
        --token-file FOLDER/token --study NAME --study OTHER --job 7 --pictures FOLDER

Each page is opened in Chromium at two widths, in light and dark, pictured, and searched for
violations by axe-core with all of its parts unfolded. Ends with status 1 if a bound is missed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, BrowserContext, Response, sync_playwright

from benchmarks.tables import machine, table

_WIDTHS = (1280, 360)
_SCHEMES = ("light", "dark")
_MOST_BYTES = 300_000
# A page that follows events is never idle; what it draws is there after this many milliseconds.
_SETTLED_MS = 700
_UNFOLD = "() => document.querySelectorAll('details').forEach(each => { each.open = true; })"
_TOO_WIDE = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@dataclass(frozen=True)
class View:
    """What one opening of a page showed; `size` is in bytes, without the plot's library."""

    name: str
    width: int
    scheme: str
    status: int
    size: int
    violations: Sequence[str]
    complaints: Sequence[str]
    foreign: Sequence[str]
    too_wide: bool

    @property
    def is_good(self) -> bool:
        faults = (self.violations, self.complaints, self.foreign, self.too_wide)
        return self.size <= _MOST_BYTES and not any(faults)


def addresses(studies: Sequence[str], jobs: Sequence[str]) -> dict[str, str]:
    """The pages, by the names of their pictures."""
    found = {"queue": "/", "new_job": "/jobs/new", "studies": "/studies", "models": "/models"}
    found |= {f"job_{job}": f"/jobs/{quote(job, safe='')}" for job in jobs}
    first, *others = (quote(study, safe="") for study in studies)
    found |= {
        "study": f"/studies/{first}",
        "best": f"/studies/{first}?budget-ms=30",
        "trials": f"/trials?study={first}",
        "hints": f"/hints?study={first}",
        "planner": f"/planner?study={first}&demand=12000&price=0.53",
        "machine": "/machine",
        "checks": "/machine/checks",
        "missing": "/jobs/999999",
    }
    if others:
        found["compare"] = f"/compare?study={first}&study={others[0]}"
    return found


def views(
    browser: Browser, options: argparse.Namespace, pages: dict[str, str], axe: str
) -> Iterator[View]:
    for width in _WIDTHS:
        for scheme in _SCHEMES:
            # axe-core is a script that the pages' own policy would not let in.
            context = browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
            )
            _log_in(context, options.url, options.token_file)
            for name, path in pages.items():
                yield _view(context, options, (name, path), axe, (width, scheme))
            context.close()


def _log_in(context: BrowserContext, url: str, token_file: Path | None) -> None:
    if token_file is None:
        return
    tab = context.new_page()
    tab.goto(f"{url}/login")
    tab.fill("input[name=token]", token_file.read_text(encoding="utf-8").strip())
    tab.press("input[name=token]", "Enter")
    tab.wait_for_url(f"{url}/")
    tab.close()


def _view(
    context: BrowserContext,
    options: argparse.Namespace,
    address: tuple[str, str],
    axe: str,
    seen: tuple[int, str],
) -> View:
    (name, path), (width, scheme) = address, seen
    complaints: list[str] = []
    answers: list[Response] = []

    def answered(answer: Response) -> None:  # Playwright marks who listens: a method has no room
        answers.append(answer)

    tab = context.new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("response", answered)
    opened = tab.goto(f"{options.url}{path}")
    tab.wait_for_timeout(_SETTLED_MS)
    too_wide = tab.evaluate(_TOO_WIDE)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=options.pictures / f"{name}_{width}_{scheme}.png", full_page=True)
    size = sum(len(each.body()) for each in answers if _counts(each))
    tab.evaluate(_UNFOLD)
    tab.evaluate(axe)
    found = tab.evaluate("() => axe.run()")["violations"]
    tab.close()
    host = urlsplit(options.url).netloc
    status = opened.status if opened else 0
    # A page that is not there is said to be so in the console.
    said = [text for text in complaints if not (status >= 400 and f"status of {status}" in text)]
    return View(
        name=name,
        width=width,
        scheme=scheme,
        status=status,
        size=size,
        violations=[f"{each['id']} ({len(each['nodes'])})" for each in found],
        complaints=said,
        foreign=[e.url for e in answers if urlsplit(e.url).netloc not in (host, "")],
        too_wide=too_wide,
    )


def _counts(answer: Response) -> bool:
    """Whether its size is that of the page: a stream has no end."""
    kind = answer.headers.get("content-type", "")
    is_plot = answer.url.endswith("/plotly.js")
    return answer.ok and not is_plot and not kind.startswith("text/event-stream")


def report(seen: Sequence[View]) -> str:
    headings = ["page", "width", "scheme", "status", "kB", "violations", "console", "foreign",
                "too wide"]  # fmt: skip
    rows = [
        [
            view.name,
            str(view.width),
            view.scheme,
            str(view.status),
            f"{view.size / 1e3:.0f}",
            ", ".join(view.violations) or "0",
            "; ".join(view.complaints) or "0",
            str(len(view.foreign)),
            "yes" if view.too_wide else "no",
        ]
        for view in seen
    ]
    return f"{machine()}. kB without the plot's library.\n\n{table(headings, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8900")
    parser.add_argument("--token-file", type=Path, help="with a token to log in with")
    parser.add_argument("--study", action="append", required=True, help="one to show; two compare")
    parser.add_argument("--job", action="append", default=[], help="one to show; several times")
    parser.add_argument("--only", action="append", help="the name of a page; several times")
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of axe-core")
    parser.add_argument("--chromium", help="its path; without it, the one of Playwright")
    options = parser.parse_args()
    pages = addresses(options.study, options.job)
    wanted = {name: pages[name] for name in options.only or pages}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox"]
        )
        axe = options.axe.read_text(encoding="utf-8")
        seen = list(views(browser, options, wanted, axe))
        browser.close()
    print(report(seen))
    sys.exit(not all(view.is_good for view in seen))


if __name__ == "__main__":
    main()
