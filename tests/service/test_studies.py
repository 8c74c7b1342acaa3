"""/api/v1/studies: what the studies of the database found, as the commands say it."""

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from tests.command_line import Tuner
from tests.report import studies
from tests.report.studies import loads
from tests.store.test_storage import everything
from tuner.errors import Reason
from tuner.records import StudyRecord
from tuner.service.api import study_documents as documents
from tuner.service.service import Service
from tuner.store.storage import Storage

NIGHT, SLOW, SLASH = "night", "slow", "team/<b>one</b>"
ODD = everything().name


def slow() -> StudyRecord:
    """Nothing is within its budget."""
    trials = [
        studies.infeasible(studies.trial(0, points=loads((10, 90))), unloaded_s=0.080),
        studies.failed(1, Reason.START_FAILED, "the server ended", "out of memory"),
    ]
    return studies.study(trials, name=SLOW, created_at=studies.BEGAN - timedelta(days=1))


@pytest.fixture(scope="module")
def database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With studies."""
    path = tmp_path_factory.mktemp("studies") / "studies.db"
    shutil.copy(empty_database, path)
    night = studies.night().trials
    named = [studies.study(night, name=NIGHT), slow(), studies.study(night, name=SLASH)]
    with Storage(str(path), create=True) as storage:
        for record in (*named, everything()):
            write(storage, record)
    return path


@pytest.fixture
def tuner(capsys: pytest.CaptureFixture[str]) -> Tuner:
    return Tuner(capsys)


def write(storage: Storage, record: StudyRecord) -> None:
    storage.create_study(record)
    for trial in record.trials:
        storage.save_trial(record.name, trial)


def got(client: httpx.Client, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


SAME: list[tuple[str, dict[str, Any], list[str], Any]] = [
    (f"studies/{NIGHT}", {}, ["studies", "show", NIGHT], dict[str, Any]),
    (f"studies/{ODD}", {}, ["studies", "show", ODD], dict[str, Any]),
    (f"studies/{SLASH}/pareto", {}, ["pareto", SLASH], documents.ParetoDocument),
    (f"studies/{SLOW}/pareto", {}, ["pareto", SLOW], documents.ParetoDocument),
    (f"studies/{ODD}/pareto", {}, ["pareto", ODD], documents.ParetoDocument),
    (f"studies/{NIGHT}/best", {}, ["best", NIGHT], dict[str, Any]),
    (
        f"studies/{NIGHT}/best",
        {"budget_ms": 20, "percentile": 95},
        ["best", NIGHT, "--budget-ms", "20", "--percentile", "95"],
        dict[str, Any],
    ),
    (f"studies/{NIGHT}/effects", {}, ["effects", NIGHT], documents.EffectsDocument),
    (f"studies/{NIGHT}/hints", {}, ["hints", NIGHT], documents.HintsDocument),
    (
        f"studies/{NIGHT}/capacity",
        {"demand": 900, "headroom": "20%", "price": "0.5/h", "budget_ms": [20, 50]},
        ["capacity", NIGHT, "--demand", "900", "--headroom", "20%", "--price", "0.5/h",
         "--budget-ms", "20", "--budget-ms", "50"],
        documents.CapacityDocument,
    ),
    (
        "capacity",
        {"study": [NIGHT, SLASH], "demand": 900, "price": [f"{NIGHT}=0.5/h", f"{SLASH}=0.6/h"]},
        ["capacity", NIGHT, SLASH, "--demand", "900", "--price", f"{NIGHT}=0.5/h", "--price",
         f"{SLASH}=0.6/h"],
        documents.CapacityDocument,
    ),
    (
        "compare",
        {"study": [NIGHT, SLASH]},
        ["compare", NIGHT, SLASH],
        documents.ComparisonsDocument,
    ),
]  # fmt: skip


class TestAnswers:
    """What a command prints with `--json`, a route answers."""

    def test_the_same(
        self, client: httpx.Client, service: Service, tuner: Tuner, subtests: pytest.Subtests
    ) -> None:
        """To the last number, and within the schema of the route."""
        database = service.settings.database
        for path, query, words, kind in SAME:
            with subtests.test(path, query=query):
                said = tuner(*words, "--json", "--db", database)

                found = got(client, path, **query)

                assert (said.status, found) == (0, without_database(said.json, database))
                TypeAdapter(kind).validate_python(found)

    def test_nothing_within_the_budget(self, client: httpx.Client) -> None:
        """It is an answer, too: with what comes closest."""
        found = got(client, f"studies/{SLOW}/best")

        assert found["best"] is None
        assert found["nearest"]["latency_ms"] == 80.0

    def test_a_study_without_its_trials(self, client: httpx.Client) -> None:
        """Whoever asks often need not be sent them each time."""
        whole, brief = (got(client, f"studies/{NIGHT}", trials=each) for each in (True, False))

        assert whole.pop("trials")
        assert brief == whole

    def test_a_name_that_ends_like_a_route(self, client: httpx.Client, service: Service) -> None:
        """Names of studies may have slashes; each can be shown."""
        write(service.storage, studies.study([studies.baseline()], name="a/b"))

        assert got(client, "studies/a/b")["study"] == "a/b"
        assert got(client, "studies/a%2Fb/trials")["total"] == 1


def without_database(content: Any, database: str) -> Any:
    """The service says commands without its database, which is nobody else's business."""
    if isinstance(content, dict):
        return {name: without_database(each, database) for name, each in content.items()}
    if isinstance(content, list):
        return [without_database(each, database) for each in content]
    return content.replace(f" --db {database}", "") if isinstance(content, str) else content


class TestLists:
    """A page at a time, with the number of all."""

    def test_studies(self, client: httpx.Client, service: Service, tuner: Tuner) -> None:
        """Those of the command, each with what becomes of it."""
        said = tuner("studies", "list", "--json", "--db", service.settings.database).json

        found = got(client, "studies")

        assert found["total"] == len(said)
        assert found["items"] == [{**each, "state": "unknown"} for each in said]
        documents.StudiesDocument.model_validate(found)

    def test_pages(self, client: httpx.Client) -> None:
        """One after the other they are all."""
        pages = [got(client, "studies", limit=3, offset=offset) for offset in (0, 3, 6)]

        names = [[each["study"] for each in page["items"]] for page in pages]
        assert [len(each) for each in names] == [3, 1, 0]
        assert {*names[0], *names[1]} == {NIGHT, SLOW, SLASH, ODD}
        assert {page["total"] for page in pages} == {4}

    def test_trials(self, client: httpx.Client, service: Service, tuner: Tuner) -> None:
        """Those that `tuner status --trials` lists, and of those that failed alone."""
        database = service.settings.database
        for state in ("", "failed"):
            option = ["--state", state] if state else ["--trials"]
            said = tuner("status", NIGHT, *option, "--json", "--db", database).json

            found = got(client, f"studies/{NIGHT}/trials", **({"state": state} if state else {}))

            assert (found["items"], found["total"]) == (said, len(said))
            documents.TrialsDocument.model_validate(found)

    def test_load_points(self, client: httpx.Client, service: Service, tuner: Tuner) -> None:
        """The rows of an export; a page may begin within a trial."""
        words = ["studies", "export", NIGHT, "--format", "json"]
        said = tuner(*words, "--db", service.settings.database).json
        pages = [
            got(client, f"studies/{NIGHT}/load-points", limit=7, offset=offset)
            for offset in range(0, len(said) + 7, 7)
        ]

        assert [row for page in pages for row in page["items"]] == said
        assert {page["total"] for page in pages} == {len(said)}


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("studies/nobody", {}, 404, "no study is called `nobody`"),
    *(
        (f"studies/nobody/{each}", {"demand": 1}, 404, "no study is called `nobody`")
        for each in (
            "trials", "load-points", "pareto", "best", "capacity", "effects", "hints", "report",
            "exports", "exports/compose",
        )
    ),
    ("studies/x%00y", {}, 404, "there is no study `x\\x00y`"),
    ("compare", {"study": [NIGHT, "nobody"]}, 404, "no study is called `nobody`"),
    ("compare", {"study": [NIGHT, NIGHT]}, 422, f"`{NIGHT}` was named twice"),
    ("compare", {"study": "postgresql://host/x#one"}, 422, "query.study: List should have"),
    ("studies", {"limit": 0}, 422, "query.limit: Input should be greater than or equal to 1"),
    ("studies", {"limit": 101}, 422, "query.limit: Input should be less than or equal to 100"),
    ("studies", {"offset": -1}, 422, "query.offset: Input should be greater"),
    ("studies", {"state": "lost"}, 422, "query.state: Input should be 'running'"),
    (f"studies/{NIGHT}/best", {"budget_ms": "nan"}, 422, "query.budget_ms: Input should be a fin"),
    (f"studies/{NIGHT}/best", {"budget_ms": "inf"}, 422, "query.budget_ms: Input should be"),
    (f"studies/{NIGHT}/best", {"budget_ms": 0}, 422, "query.budget_ms: Input should be greater"),
    (f"studies/{NIGHT}/best", {"budget_ms": 5e-324}, 422, "`--budget-ms` must be above 0 and be"),
    (f"studies/{NIGHT}/best", {"percentile": 100}, 422, "query.percentile: Input should be less"),
    (f"studies/{NIGHT}/best", {"min_throughput": 5}, 422, "`--min-throughput` needs another obj"),
    (f"studies/{NIGHT}/capacity", {}, 422, "query.demand: Field required"),
    (f"studies/{NIGHT}/capacity", {"demand": 0}, 422, "`--demand` must be above 0 and up to"),
    (
        f"studies/{NIGHT}/capacity",
        {"demand": 1, "headroom": "100%"},
        422,
        "`--headroom` must be a percentage below 100, but got `100%`",
    ),
    (
        f"studies/{NIGHT}/capacity",
        {"demand": 1, "price": "free"},
        422,
        "`--price` must be an amount above 0 for an hour, but got `free`",
    ),
    (f"studies/{SLOW}/effects", {}, 409, "in study `slow` no parameter has two values to compare"),
    (f"studies/{SLOW}/exports/file", {}, 409, "no configuration meets p99 <= 50 ms"),
    (f"studies/{NIGHT}/exports/config.properties", {}, 422, "`triton` has no `config.properties`"),
    (f"studies/{NIGHT}/exports/json", {}, 422, "`json` is a document, and deploys nothing"),
    (f"studies/{NIGHT}/exports/%2e%2e", {}, 422, "path.form: Input should be"),
]  # fmt: skip


def test_what_cannot_be_answered(client: httpx.Client, subtests: pytest.Subtests) -> None:
    """It is said why, in the words of the command line where it has them."""
    for path, query, status, detail in REFUSED:
        with subtests.test(path, query=query):
            answer = client.get(f"/api/v1/{path}", params=query)

            kind = answer.headers["content-type"]
            assert (answer.status_code, kind) == (status, "application/problem+json")
            assert answer.json()["detail"].startswith(detail)


class TestReport:
    """A page with texts of servers and models, which must not use the session of its reader."""

    def test_html(self, client: httpx.Client) -> None:
        """It belongs to no site, and may run its own script alone."""
        answer = client.get(f"/api/v1/studies/{SLASH}/report")

        policy = answer.headers["content-security-policy"].split("; ")
        assert policy[:2] == ["sandbox allow-scripts", "default-src 'none'"]
        assert "connect-src" not in answer.headers["content-security-policy"]
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "<b>one</b>" not in answer.text
        assert "team/&lt;b&gt;one&lt;/b&gt;" in answer.text

    def test_markdown(self, client: httpx.Client) -> None:
        """For a ticket."""
        answer = client.get(f"/api/v1/studies/{NIGHT}/report", params={"format": "md"})

        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
        assert answer.text.startswith("# ")


class TestExports:
    """What deploys the winner, as files."""

    def test_all_forms(self, client: httpx.Client) -> None:
        """Each that is listed can be had, or says what it needs."""
        listed = got(client, f"studies/{NIGHT}/exports")

        assert [each["form"] for each in listed["items"]] == [
            "file", "config.pbtxt", "env", "docker-run", "compose", "kubernetes", "systemd",
        ]  # fmt: skip
        for each in listed["items"]:
            answer = client.get(f"/api/v1/studies/{NIGHT}/exports/{each['form']}")
            assert answer.status_code in (200, 422)

    def test_the_own_file(self, client: httpx.Client, service: Service, tuner: Tuner) -> None:
        """What the command prints, to be saved under a name that no browser is misled by."""
        answer = client.get(f"/api/v1/studies/{SLASH}/exports/config.pbtxt")

        printed = tuner("best", SLASH, "--db", service.settings.database).out
        assert answer.text.rstrip("\n") == printed.rstrip("\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-disposition"] == (
            'attachment; filename="team_b_one_b_-config.pbtxt"; '
            "filename*=UTF-8''team_%3Cb%3Eone%3C_b%3E-config.pbtxt"
        )


def test_states(client: httpx.Client, service: Service) -> None:
    """Studies can be asked for by what becomes of them."""
    assert got(client, "studies", state="ended")["items"] == []
    assert got(client, "studies", state="running")["total"] == 0
    assert got(client, "studies", state="unknown", limit=1)["total"] == 4
