"""A check as JUnit XML, as CI servers read it.

The form is that of Ant's JUnit task, which Jenkins, GitLab and GitHub's actions take:
https://github.com/testmoapp/junitxml.
"""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from tuner.errors import masked
from tuner.report import check_text
from tuner.study.check import Checked, CheckOutcome

_SUITE = "tuner check"
# Characters that XML 1.0 does not have; the logs of servers may.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(found: Checked, now: datetime | None = None) -> bytes:
    """One suite of two cases: the environment can be compared, and the winner is as good."""
    outcome = found.outcome
    comparable = outcome is not CheckOutcome.NOT_COMPARABLE
    worse = outcome is CheckOutcome.WORSE
    counts = {"tests": 2, "failures": int(worse), "errors": int(not comparable)}
    counts |= {"skipped": int(not comparable)}
    numbers = {name: str(count) for name, count in counts.items()}
    whole = ET.Element("testsuites", numbers, name=_SUITE, time=f"{found.spent_s:.3f}")
    moment = f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    place = {"timestamp": moment, "hostname": str(found.study.hardware.get("hostname", ""))}
    suite = ET.SubElement(
        whole, "testsuite", numbers | place, name=_SUITE, time=f"{found.spent_s:.3f}"
    )
    _properties(suite, found)
    environment = _case(suite, found, "the environment is comparable", 0.0)
    winner = _case(suite, found, "the best configuration is as good", found.spent_s)
    told = _fit("\n".join((check_text.headline(found), *check_text.remarks(found))))
    if not comparable:
        _because(environment, "error", "not comparable", found, told)
        ET.SubElement(winner, "skipped", message="the environment is not comparable")
    elif worse:
        _because(winner, "failure", "worse", found, told)
    ET.SubElement(suite, "system-out").text = told
    ET.indent(whole)
    written: bytes = ET.tostring(whole, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _properties(suite: ET.Element, found: Checked) -> None:
    properties = ET.SubElement(suite, "properties")
    facts = {
        "study": found.study.name,
        "latency budget": str(found.study.budget),
        "configuration": str(found.winner.configuration),
        "rounds": str(found.rounds),
    }
    ratio = found.winner.change.ratio
    if ratio is not None:
        facts |= {"now over then": f"{ratio.estimate:.4f}"}
        facts |= {"now over then, 95 %": f"{ratio.low:.4f} to {ratio.high:.4f}"}
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_fit(value))


def _case(suite: ET.Element, found: Checked, name: str, spent_s: float) -> ET.Element:
    place = {"classname": _fit(f"{_SUITE}.{found.study.name}"), "name": name}
    return ET.SubElement(suite, "testcase", place, time=f"{spent_s:.3f}")


def _because(case: ET.Element, tag: str, kind: str, found: Checked, told: str) -> None:
    message = _fit(check_text.headline(found).partition("\n")[0])
    ET.SubElement(case, tag, type=kind, message=message).text = told


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", masked(text))
