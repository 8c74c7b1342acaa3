"""The form of a new job: what it asks for, what it refuses, and what comes of it."""

import re

import httpx
import pytest

from tuner.service.service import Service
from tuner.store.queue import queued_jobs


@pytest.fixture
def browser(client: httpx.Client) -> httpx.Client:
    client.headers["Accept"] = "text/html"
    return client


def test_the_form_has_each_option_with_its_help(browser: httpx.Client, service: Service) -> None:
    """All but headers: what is secret would stand in the page that shows the form again."""
    page = browser.get("/jobs/new").text

    chosen = {"model_file", "model_repository"}  # by one list of what there is
    for name, field in service.command.options.model_fields.items():
        if name == "header":
            assert f'name="{name}"' not in page
        elif name not in chosen:
            assert f'name="{name}"' in page, name
            assert field.description
            assert f'for="{name}"' in page


def test_what_was_typed_becomes_a_job(browser: httpx.Client, service: Service) -> None:
    """Empty fields are not said; lists have a value on each line."""
    sent = browser.post(
        "/jobs/new",
        data={
            "budget_ms": "50",
            "timeout": "90s",
            "objective": "throughput\r\nmemory\r\n",
            "sampler": "random",
            "batch": "",
            "study": "typed",
        },
    )

    assert sent.status_code == 303
    (found,) = queued_jobs(service.storage)
    assert sent.headers["location"] == f"/jobs/{found.id}"
    assert found.study == "typed"
    assert found.options == {
        "budget_ms": 50.0,
        "timeout": "90s",
        "objective": ["throughput", "memory"],
        "sampler": "random",
    }


def test_limits_of_first_tokens_are_among_the_rare_options(browser: httpx.Client) -> None:
    """A job may have them in place of the budget for whole answers."""
    page = browser.get("/jobs/new").text
    assert "Latency budget of the first token, ms" in page
    assert "Latency budget between tokens, ms" in page


REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({}, "budget_ms", "there is no latency budget"),
    ({"budget_ms": "soon"}, "budget_ms", "valid number"),
    ({"budget_ms": "50", "trials": "1.5"}, "trials", "valid integer"),
    ({"budget_ms": "-1"}, "budget_ms", "--budget-ms must be above 0"),
    ({"budget_ms": "50", "timeout": "soon"}, "timeout", "must be a duration"),
]


def test_what_cannot_be_used_is_said_at_its_field(browser: httpx.Client, service: Service) -> None:
    """With the words of the command line, and what was typed is still there."""
    for wrong, field, said in REFUSED:
        typed = {**wrong, "engine_cpus": "0"}
        answer = browser.post("/jobs/new", data=typed)
        assert answer.status_code == 422
        error = re.search(rf'<p class="error" id="{field}-error">(.*?)</p>', answer.text)
        assert error, typed
        assert said in re.sub(r"<[^>]+>", "", error[1])
        for name, text in typed.items():
            assert re.search(rf'id="{name}"[^>]* value="{re.escape(text)}"', answer.text)
    assert not queued_jobs(service.storage)


def test_what_is_about_no_field_is_said_at_the_top(browser: httpx.Client) -> None:
    """As a name that cannot be one."""
    answer = browser.post("/jobs/new", data={"budget_ms": "50", "study": "<b>"})

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "&lt;b&gt;" in answer.text
    assert "<b>" not in answer.text
