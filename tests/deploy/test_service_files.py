"""The unit of systemd and the files of the image: what can be judged of them without a machine to install them on."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from kubecustody.settings import PREFIX, load_settings

pytestmark = pytest.mark.deploy

REPOSITORY = Path(__file__).parents[2]
UNIT = REPOSITORY / "deploy" / "systemd" / "kubecustody.service"
MANIFEST = REPOSITORY / "deploy" / "kubernetes" / "kubecustody.yaml"
CONTAINERFILE = REPOSITORY / "deploy" / "container" / "Containerfile"


def analyze(*words: str | Path) -> str:
    """What systemd-analyze says. Without it: a loud skip, and in CI a failure."""
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("NO systemd-analyze: it is in Debian's package systemd")
        pytest.skip("NO systemd-analyze: it is in Debian's package systemd")
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """But for the program, which is not installed here: another stands for it."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/kubecustody/bin/kubecustody", "/bin/true"))
    assert analyze("verify", "--man=no", unit) == ""
    unit.write_text(unit.read_text().replace("RestartSec=2", "RestartSeconds=2"))
    assert "RestartSeconds" in analyze("verify", "--man=no", unit)


def test_the_unit_is_as_little_exposed_as_the_documentation_says() -> None:
    told = analyze("security", "--offline=true", UNIT)
    score = re.search(r"Overall exposure level for \S+: ([\d.]+) OK", told)
    assert score and float(score[1]) <= 1.2
    assert f"**{score[1]}**" in (REPOSITORY / "docs/how-to/deploy.md").read_text()


class Instruction(NamedTuple):
    """One instruction of a Containerfile."""

    name: str
    rest: str


def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = (line.partition(" ") for line in text.splitlines() if line.strip())
    return [Instruction(name, rest.strip()) for name, _, rest in lines]


def test_the_image_is_of_pinned_parts_and_runs_as_nobody_who_owns_a_file_of_it() -> None:
    found = instructions()
    known = "FROM WORKDIR COPY RUN ENV USER VOLUME EXPOSE STOPSIGNAL ENTRYPOINT CMD"
    assert {one.name for one in found} <= set(known.split())
    bases = [one.rest.split()[0] for one in found if one.name == "FROM"]
    assert bases and all(re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", base) for base in bases)
    last = found[max(place for place, one in enumerate(found) if one.name == "FROM") :]
    (user,) = (one.rest for one in last if one.name == "USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert not [one for one in last[[one.name for one in last].index("USER") :] if one.name in ("RUN", "COPY")]
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs(found))


def installs(found: list[Instruction]) -> list[str]:
    parts = [part for one in found if one.name == "RUN" for part in one.rest.split("&&") if " install " in f"{part} "]
    return [part for part in parts if "pip" in part]


def test_what_the_image_copies_is_there_and_its_settings_are_settings() -> None:
    found = instructions()
    for copied in (shlex.split(one.rest) for one in found if one.name == "COPY" and "--from" not in one.rest):
        assert all((REPOSITORY / source).exists() for source in copied[:-1]), copied
    pairs = (word.split("=", 1) for one in found if one.name == "ENV" for word in shlex.split(one.rest))
    settings = {name: value for name, value in pairs if name.startswith(PREFIX)}
    loaded = load_settings({**settings, f"{PREFIX}PUBLIC_URL": "https://custody.example.com"})
    volumes = next(one.rest for one in found if one.name == "VOLUME")
    for path in (loaded.data_dir, loaded.key_ring_file):
        assert f'"{path.parent}"' in volumes


def test_the_variables_of_the_pod_are_settings_and_none_come_from_the_service() -> None:
    objects = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text())}
    given = {name: value for name, value in objects["ConfigMap"]["data"].items() if name.startswith(PREFIX)}
    assert load_settings(given).public_url == "https://custody.example.com"
    assert objects["StatefulSet"]["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_the_units_settings_are_settings() -> None:
    pairs = re.findall(rf"^Environment=({PREFIX}\w+)=(\S+)$", UNIT.read_text(), re.MULTILINE)
    assert str(load_settings(dict(pairs)).store_file) == "/var/lib/kubecustody/data/kubecustody.db"
