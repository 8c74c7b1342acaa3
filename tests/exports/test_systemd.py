"""A unit says what the service has, in words that systemd reads as they are."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.exports.deployable import AWKWARD, awkward
from tuner.exports import systemd


@pytest.mark.parametrize("image", ["", "registry.example/server:1"])
def test_systemd_takes_it(image: str, tmp_path: Path) -> None:
    """It finds nothing to complain of, whatever the words have in them."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    unit = systemd.unit(awkward(image=image, directory="/srv"))
    # Docker and curl may be elsewhere, or not there.
    runnable = unit.replace("/usr/bin/docker", "/usr/bin/env").replace("bin/curl", "bin/env")
    file = tmp_path / "encoder.service"
    file.write_text(re.sub("^Requires=.*\n", "", runnable, flags=re.MULTILINE))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in ended.stderr.splitlines() if file.name in line] == []


def test_the_words_come_out_again() -> None:
    """With `%` and `$` doubled, which systemd makes one again."""
    found = _unit(systemd.unit(awkward(image="")))

    assert _words(found["ExecStart"][0]) == list(awkward().command)
    variables = [_words(each, command=False) for each in found["Environment"]]
    assert variables == [[f"VARIABLE_{n}={text}"] for n, text in enumerate(AWKWARD)]


def test_on_the_machine_itself() -> None:
    """Its own user, limits, secrets, and the file over that of the model."""
    found = _unit(systemd.unit(awkward(image="")))

    assert found["DynamicUser"] == ["yes"]
    assert found["EnvironmentFile"] == ["/etc/encoder/secrets.env"]
    covered = "/etc/encoder/config.pbtxt:/models/encoder/config.pbtxt"
    assert found["BindReadOnlyPaths"] == [covered]
    assert found["ReadWritePaths"] == ['"-/srv/my cache"']
    assert (found["CPUQuota"], found["CPUAffinity"]) == (["150%"], ["0,2-3"])
    assert found["MemoryLow"] == ["139M"]
    assert found["Restart"] == ["always"]
    assert _words(found["ExecStartPost"][0])[-1] == "http://127.0.0.1:8000/ready"


def test_in_a_container() -> None:
    """`docker run` in the foreground, which systemd starts again."""
    found = _unit(systemd.unit(awkward()))
    words = _words(found["ExecStart"][0])

    assert words[:5] == ["/usr/bin/docker", "run", "--rm", "--pull", "never"]
    assert words[words.index("registry.example/server:1") + 1 :] == list(AWKWARD)
    assert "--restart" not in words
    source, target = "/etc/encoder/server.conf", "/tuner-files/server.conf"
    assert f"type=bind,source={source},target={target},readonly" in words


def test_a_pull_is_no_part_of_a_start() -> None:
    """It could take longer than a start may."""
    said = "# First, unless it is there: docker pull registry.example/server:1\n"
    assert said in systemd.unit(awkward())
    assert "docker pull" not in systemd.unit(awkward(image=""))


def test_a_program_beside_its_files() -> None:
    """systemd takes absolute paths alone."""
    service = awkward(image="", command=("./server.sh",), directory="/srv/app")
    found = _unit(systemd.unit(service))

    assert found["ExecStart"] == ["/srv/app/server.sh"]


def test_what_differs_from_a_terminal() -> None:
    """Where programs are looked for, and what its user may read."""
    bare = awkward(image="", command=("python", "/home/me/app.py"))
    kept = (
        "Its user keeps files in /srv/my cache: instead of DynamicUser=yes, let User= name one "
        "who may write there."
    )
    assert f"# {kept}\n" in systemd.unit(awkward(image=""))
    assert kept not in systemd.unit(awkward())
    for said, service in (
        ("systemd looks for `python` on a PATH of its own: its whole path is safer.", bare),
        ("DynamicUser=yes may keep it from reading what is below /home or /root.", bare),
    ):
        assert f"# {said}\n" in systemd.unit(service)
        assert said not in systemd.unit(awkward(image=""))


def test_files_stand_above_it() -> None:
    """As comments, under their paths."""
    text = systemd.unit(awkward())

    assert "# file: /etc/encoder/server.conf\n#     a = $HOME\n#     # 100%\n" in text
    assert "# /etc/encoder/secrets.env says NAME=VALUE of: API_TOKEN\n" in text


def _unit(text: str) -> Mapping[str, list[str]]:
    """The settings of a unit, each with its values."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def _words(text: str, *, command: bool = True) -> list[str]:
    """As systemd.syntax(7) and systemd.service(5) have it."""
    words = [word.replace("%%", "%") for word in shlex.split(text)]
    return [word.replace("$$", "$") for word in words] if command else words
