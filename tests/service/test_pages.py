"""The pages of a service: what they show of a study and of jobs, as a browser gets it."""

import re
from dataclasses import replace
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.report import studies
from tests.report.token_studies import token_study
from tuner.analysis.rate_unit import RateUnit
from tuner.goals import LatencyBudget, SearchBudget
from tuner.records import StudyRecord
from tuner.report import formats
from tuner.service.pages import files
from tuner.service.pages.plot import Plot, PlotPoint
from tuner.service.pages.study import slider
from tuner.service.service import Service
from tuner.store.hosts import HostRecord, HostState
from tuner.store.ownership import held
from tuner.store.queue import QueuedJob, QueueState, Submission, bring, submit
from tuner.store.storage import Storage

NIGHT = "night"
SCRIPT = "<script>alert(1)</script>"
QUOTE = '"onmouseover=alert(2) x="'
HOSTILE = (SCRIPT, QUOTE, "{{ 7 * 191 }}", "javascript:alert(3)")


@pytest.fixture
def night(service: Service) -> None:
    keep(service.storage, NIGHT)


@pytest.fixture
def browser(client: httpx.Client) -> httpx.Client:
    """It asks for pages, as a person's browser does."""
    client.headers["Accept"] = "text/html,application/xhtml+xml"
    return client


def keep(
    storage: Storage, name: str, trials: int | None = None, *, record: StudyRecord | None = None
) -> None:
    """The study of a night under this name, or its first trials alone; or another one."""
    record = record or studies.study(studies.night().trials[:trials], name=name)
    storage.create_study(record)
    for trial in record.trials:
        storage.save_trial(name, trial)


def job(service: Service, study: str, **wishes: object) -> QueuedJob:
    """One that waits, whatever its name."""
    found, _ = submit(
        service.storage,
        Submission(
            study=study,
            machine="here",
            options={"budget_ms": 50.0, **wishes},
            by="ann",
            log=str(service.settings.folder / "job.log"),
        ),
    )
    return found


def shown(browser: httpx.Client, path: str, status: int = 200) -> str:
    """The page as text without its tags."""
    answer = browser.get(path)
    assert answer.status_code == status, answer.text
    return unescape(re.sub(r"<[^>]*>", " ", answer.text))


PAGES = {
    "/": ["Nothing runs.", "Nothing waits."],
    "/studies": [NIGHT, "triton", "p99 ≤ 50 ms"],
    f"/studies/{NIGHT}": ["Side by side", "Latency against throughput", "Deploy the best"],
    f"/trials?study={NIGHT}": ["trials", "baseline"],
    f"/hints?study={NIGHT}": ["hints hold"],
    f"/planner?study={NIGHT}&demand=5000": ["replicas", "Server's defaults"],
    "/compare": ["Compare studies"],
    "/jobs/new": ["Latency budget, ms", "Where the server runs", "Search space"],
    "/models": ["Models"],
    "/machine": ["processors", "memory"],
}


@pytest.mark.usefixtures("night")
def test_each_page_is_there(browser: httpx.Client) -> None:
    """It has one heading of the first rank, and says what it is about."""
    for path, expected in PAGES.items():
        answer = browser.get(path)
        assert answer.text.count("<h1") == 1, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        text = shown(browser, path)
        for each in expected:
            assert each in text, path


@pytest.mark.usefixtures("night")
def test_a_study_is_read_without_a_script(browser: httpx.Client, service: Service) -> None:
    """Every load point of its plot is in a table, too, with both of its numbers."""
    rows = re.findall(r"<tr data-point=.*?</tr>", browser.get(f"/studies/{NIGHT}").text)
    points = [
        point
        for trial in service.storage.study(NIGHT).trials
        if trial.state.value != "failed"
        for point in trial.points
        if point.kind == "open" and point.latency_s < 1e9
    ]

    assert points
    assert len(rows) == len(points)
    cells = {tuple(re.findall(r"<td[^>]*>(.*?)</td>", row)[:3]) for row in rows}
    for trial in service.storage.study(NIGHT).trials:
        for point in trial.points:
            if point in points:
                ms = f"{1e3 * point.latency_s:.4g}"
                assert (str(trial.number), formats.rate(point.throughput), ms) in cells


@pytest.mark.usefixtures("night")
def test_another_budget_has_its_best_configuration(browser: httpx.Client) -> None:
    """As a part of the page for a script, and on the whole page without one."""
    path = f"/studies/{NIGHT}?budget-ms=30"
    part = browser.get(path, headers={"HX-Request": "true"}).text
    whole = browser.get(path).text

    assert "<h1" not in part
    assert "p99 ≤ 30 ms" in part
    assert part.strip() in whole
    own = browser.get(path.replace("30", "50"), headers={"HX-Request": "true"}).text
    assert "as the study itself confirmed" in own


def test_pages_of_a_language_model(browser: httpx.Client, service: Service) -> None:
    """They say requests and output tokens per second, and by what a request is judged."""
    study = token_study(name="chat")
    keep(service.storage, "chat", record=study)

    page = browser.get("/studies/chat").text
    found = shown(browser, "/studies/chat")

    assert "12.0 requests/s (384 output tokens/s)" in found
    assert "p99 of the worst of TTFT and ITL, as TTFT, ms" in found
    assert 'data-unit="requests/s"' in page
    assert 'data-latency="worst p99, as TTFT"' in page
    assert '<td class="number">192</td>' in page
    assert "output tokens/s" in shown(browser, "/planner?study=chat&demand=100")
    for path in ("/studies/chat", "/trials?study=chat"):
        assert "Requests/s" in shown(browser, path)
        assert "nferences/s" not in browser.get(path).text
    assert "12.0 requests/s" in " ".join(shown(browser, "/studies").split())
    part = browser.get("/studies/chat?budget-ms=180", headers={"HX-Request": "true"}).text
    assert "p99 ≤ TTFT 180 ms, ITL 18 ms: 9.72 requests/s" in part


def test_the_slider_has_the_scale_of_the_budget() -> None:
    """A hundredth of it at most is a step, and the study's own budget is on the scale."""
    for own_ms in (0.4, 2.5, 50.0, 100.0, 3000.0):
        points = [
            PlotPoint(trial=0, throughput=1.0, latency_ms=latency_ms, kind="other",
                      stopped_early=False, on_front=True)
            for latency_ms in (own_ms / 3, own_ms * 3)
        ]  # fmt: skip
        found = slider(Plot(tuple(points), LatencyBudget(99, own_ms / 1e3), RateUnit.INFERENCES))
        assert found
        assert found.step <= own_ms / 20
        assert found.least < own_ms < found.most
        for end in (found.own - found.least, found.most - found.least):
            assert abs(end / found.step - round(end / found.step)) < 1e-6


def test_hostile_names_are_shown_and_do_nothing(browser: httpx.Client, service: Service) -> None:
    """Whatever a study is called, its pages have no other element or attribute for it."""
    for name in HOSTILE:
        made = job(service, name)
        keep(service.storage, name)
        log = Path(made.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"said: {name}\n", encoding="utf-8")
        quoted = quote(name, safe="")
        study, trials = f"/studies/{quoted}", f"/trials?study={quoted}"
        planner = f"/planner?study={quote(name)}&demand=100"
        for path in ("/", "/studies", f"/jobs/{made.id}", planner, study, trials):
            assert_harmless(browser.get(path).text)
        text = shown(browser, f"/jobs/{made.id}")
        assert f"said: {name}" in text
        assert name in shown(browser, study)


def assert_harmless(page: str) -> None:
    """That nothing of a hostile name is anything but text in it."""
    assert "<script>alert" not in page
    assert str(7 * 191) not in page
    assert 'href="javascript:' not in page
    for tag in re.findall(r"<[a-z][^>]*>", page):
        assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', "", tag)), tag


def test_what_waits_can_be_moved_and_cancelled(browser: httpx.Client, service: Service) -> None:
    """By forms that a browser sends without a script, and is led back to the queue."""
    first, second = job(service, "first"), job(service, "second")
    page = browser.get("/").text
    assert page.index("first") < page.index("second")

    moved = browser.post(f"/jobs/{second.id}/move", data={"place": "0"})
    assert (moved.status_code, moved.headers["location"]) == (303, f"/#waits-{second.id}")
    page = browser.get("/").text
    assert page.index("second") < page.index("first")

    cancelled = browser.post(f"/jobs/{first.id}/cancel", data={"listed": "true"})
    assert (cancelled.status_code, cancelled.headers["location"]) == (303, "/")
    assert "cancelled" in shown(browser, f"/jobs/{first.id}")
    cancelled = browser.post(f"/jobs/{second.id}/cancel")
    assert cancelled.headers["location"] == f"/jobs/{second.id}"


def test_a_study_of_any_name_is_shown(browser: httpx.Client, service: Service) -> None:
    """What looks like another address of the pages, too, with the job that it is of."""
    for name in ("a/best", "a/trials", "b/hints", "/", "%2F"):
        made = job(service, name)
        keep(service.storage, name, trials=2)
        page = browser.get(f"/studies/{quote(name, safe='')}").text
        for address in re.findall(r'href="(/(?!api/)[^"]*(?:study=|studies/)[^"]*)"', page):
            assert browser.get(address).status_code == 200, address
        assert f"Study {name}" in unescape(page)
        assert f'href="/jobs/{made.id}"' in page


def test_what_cannot_be_done_is_said_on_a_page(browser: httpx.Client, service: Service) -> None:
    """With the message and the hint of the interface, which programs get as JSON."""
    waiting = job(service, "waiting")
    refused = browser.post(f"/jobs/{waiting.id}/pause")

    assert refused.status_code == 409
    assert "waits for its turn" in refused.text
    assert "move it to another place" in refused.text
    told = browser.post(f"/jobs/{waiting.id}/pause", headers={"Accept": "application/json"})
    assert told.headers["content-type"] == "application/problem+json"


def test_a_job_that_is_over_follows_nothing(browser: httpx.Client, service: Service) -> None:
    """Its page asks for no events, and has no button but those that lead on."""
    made = job(service, NIGHT)
    keep(service.storage, NIGHT)
    bring(service.storage, made.id, QueueState.DONE, expected=[QueueState.QUEUED])
    page = browser.get(f"/jobs/{made.id}").text

    assert "data-events" not in page
    assert "data-news" not in page
    assert f"/api/v1/studies/{NIGHT}/report" in page
    assert f'action="/jobs/{made.id}/' not in page


def test_a_job_that_failed_says_why(browser: httpx.Client, service: Service) -> None:
    """Line by line, without figures of a study that never began, and a part asks no more."""
    made = job(service, "broken")
    why = "model.onnx cannot be used\nhint: check that the file is whole"
    bring(service.storage, made.id, QueueState.FAILED, expected=[QueueState.QUEUED], why=why)
    page = browser.get(f"/jobs/{made.id}").text

    for line in why.splitlines():
        assert re.search(rf"<p[^>]*>{line}</p>", page)
    for each in ("Gain", "Pareto", "No trial has ended"):
        assert each not in page
    assert browser.get(f"/jobs/{made.id}/now").status_code == 286


def test_a_job_that_waits_is_followed_from_where_its_page_is(
    browser: httpx.Client, service: Service
) -> None:
    """The page names the last event that it has, so that nothing is missed."""
    made = job(service, "waiting")
    page = browser.get(f"/jobs/{made.id}").text

    assert f'data-events="/api/v1/jobs/{made.id}/events"' in page
    assert re.search(r'data-after="0-\d+"', page)


def test_what_is_not_there_is_said_on_a_page(browser: httpx.Client) -> None:
    """To a browser; the paths of the interface answer programs alone."""
    for path in ("/jobs/99", "/studies/none", "/nowhere"):
        assert "Not Found" in shown(browser, path, 404)
        answer = browser.get(f"/api/v1{path}")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("night")
def test_lists_have_pages_and_filters(browser: httpx.Client, service: Service) -> None:
    """Only what was asked for, and the way to the rest."""
    for number in range(30):
        keep(service.storage, f"other-{number}", trials=1)
    assert "1 to 25 of 31" in shown(browser, "/studies")
    assert "26 to 31 of 31" in shown(browser, "/studies?offset=25")
    found = shown(browser, f"/studies?name={NIGHT.upper()[1:]}&state=unknown")
    assert NIGHT in found
    assert "other-" not in found
    for query in ("state=running", "name=%25"):
        assert "No study is like this." in shown(browser, f"/studies?{query}")


def test_studies_are_compared(browser: httpx.Client, service: Service) -> None:
    """With the sentences and the tables of the command."""
    keep(service.storage, "one")
    keep(service.storage, "two")
    text = shown(browser, "/compare?study=one&study=two")

    assert "two carries 1.00x" in text
    assert "named twice" in shown(browser, "/compare?study=one&study=one", 422)


UNUSABLE = {
    "demand=none": "--demand must be a number, but got none",
    "demand=10&spare=-1": "--spare must be a whole number from 0 on, but got -1",
    "demand=10&headroom=100": "--headroom must be a percentage below 100, but got 100%",
    "demand=-5": "--demand must be above 0",
}


@pytest.mark.usefixtures("night")
def test_the_planner_says_what_it_cannot_use(browser: httpx.Client) -> None:
    """And shows the form again."""
    for query, said in UNUSABLE.items():
        text = shown(browser, f"/planner?study={NIGHT}&{query}", 422)
        assert said in re.sub(r"\s+", " ", text)


def test_files_are_kept_by_browsers_for_ever(browser: httpx.Client) -> None:
    """Since each has another address as soon as it is another one."""
    page = browser.get("/").text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)

    assert addresses
    for address in addresses:
        answer = browser.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    old = browser.get("/static/0123456789ab/htmx.js")
    assert old.headers["cache-control"] == "no-store"
    assert browser.get("/static/0123456789ab/other.js").status_code == 404


@pytest.mark.usefixtures("night")
def test_pages_have_no_script_and_no_style_of_their_own(
    browser: httpx.Client, service: Service
) -> None:
    """The content security policy would stop them: all are files of this service."""
    made = job(service, "waiting")
    for path in (
        "/",
        f"/jobs/{made.id}",
        f"/studies/{NIGHT}",
        "/jobs/new",
        "/planner",
        "/machine",
    ):
        page = browser.get(path).text
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", page)
        assert "<style" not in page
        assert not re.search(r"<[^>]+\sstyle=", page)
        assert not re.search(r"(src|href)=\"(https?:)?//", page)


def test_scripts_write_no_markup() -> None:
    """What comes from the service is put into pages as text."""
    for name in ("live.js", "plots.js", "upload.js"):
        text = (Path(files.__file__).parent / "static" / name).read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert "insertAdjacentHTML" not in text
        assert "eval(" not in text


def test_hosts_of_a_fleet(service: Service, browser: httpx.Client) -> None:
    """What each measures, and why another one does not, on the pages of its study and its job."""
    record = replace(studies.small_study(), name="fleet", options={"fleet": "auto"})
    queued = job(service, "fleet")
    service.storage.create_study(record)
    ended = replace(record.trials[0], host="gpu-2")
    service.storage.save_trial("fleet", ended)

    host = partial(HostRecord, kind="0123456789", hardware={}, changed_at=studies.BEGAN)
    hosts = [
        host(name="gpu-1", state=HostState.MEASURING, trial=3),
        host(name="gpu-2", state=HostState.ASIDE, why=f"it is slow {SCRIPT}"),
    ]
    with held(service.storage, "fleet", limits=SearchBudget().as_record()) as hold:
        hold.record_all((), hosts)
        for path in ("/studies/fleet", f"/jobs/{queued.id}"):
            text = " ".join(shown(browser, path).split())
            assert "gpu-1 0123456789 measuring - trial 3" in text
            assert f"gpu-2 0123456789 aside - it is slow {SCRIPT}" in text
            assert f"{ended.number} {ended.purpose} {ended.state} gpu-2 " in text
            assert SCRIPT not in browser.get(path).text
