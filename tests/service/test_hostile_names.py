"""Hostile names on pages and in headers: whatever something is called, that is text."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.report import studies
from tests.service.hostile_names import NAMES
from tuner.service.api.exports import attachment
from tuner.service.service import Service
from tuner.store.queue import Submission, submit

LISTS = ("/studies", "/studies?offset=25", "/studies?offset=50", "/studies?offset=75")
PAGES = ("/", *LISTS, "/compare", "/planner", "/jobs/1")


class Seen(HTMLParser):
    """The elements of a page with the names of their attributes, its links, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[tuple[str, ...]] = set()
        self.text = ""
        self.links: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add((tag, *sorted(name for name, _ in attrs)))
        self.links |= {value or "" for name, value in attrs if name in ("href", "src", "action")}

    def handle_data(self, data: str) -> None:
        self.text += data


def keep(service: Service, name: str, log: Path) -> None:
    """A job and a study that are called so."""
    wanted = Submission(study=name, machine="x", options={"budget_ms": 50.0}, by="a", log=str(log))
    submit(service.storage, wanted)
    service.storage.create_study(studies.study((), name=name))


def seen(client: httpx.Client) -> dict[str, Seen]:
    return {page: Seen(client.get(page, headers={"Accept": "text/html"}).text) for page in PAGES}


def test_they_are_text(client: httpx.Client, service: Service, tmp_path: Path) -> None:
    """Pages have the same elements and attributes as for plain names, and say them as they are."""
    log = tmp_path / "log"
    for number in range(2):
        keep(service, f"plain-{number}", log)
    for number in range(2 * 25):
        service.storage.create_study(studies.study((), name=f"more-{number}"))
    log.write_text("plain\n")
    before = seen(client)
    log.write_text("\n".join(NAMES), encoding="utf-8")
    for name in NAMES:
        keep(service, name, log)
    after = seen(client)

    known = set().union(*(each.elements for each in before.values()))
    listed = set().union(*(after[page].links for page in LISTS))
    for page in PAGES:
        assert after[page].elements <= known, page
        assert not any(value.startswith("javascript:a") for value in after[page].links), page
    for name in NAMES:
        assert name in after["/jobs/1"].text
        assert name in after["/"].text
        assert f"/studies/{quote(name, safe='')}" in listed
        shown = client.get(f"/studies/{quote(name, safe='')}", headers={"Accept": "text/html"})
        assert name in Seen(shown.text).text
    assert not any("1337" in each.text for each in after.values())


def test_they_are_names_of_files() -> None:
    """A browser saves them under one name, in the folder that it saves in."""
    for name in NAMES:
        said = attachment(name, "config.pbtxt")
        plain = said.removeprefix('attachment; filename="').partition('"')[0]
        assert said.isascii()
        assert said.isprintable()
        assert said.count('"') == 2
        assert plain.endswith("config.pbtxt")
        assert not {"/", "\\", "%", ";"} & set(plain)
        assert "%2F" not in said
        assert "%5C" not in said
