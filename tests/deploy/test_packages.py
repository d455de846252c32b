"""The wheel and the source archive hold all that the program needs, and run where nothing else of ours is."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.deploy

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "kubecustody"


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("KUBECUSTODY_", "PYTHON"))}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env={**plain, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Wheel and source archive; the wheel is made from what the archive holds, as an index's users get it."""
    folder = tmp_path_factory.mktemp("packages")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=REPOSITORY)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
    (wheel,) = folder.glob("*.whl")
    return wheel, archive


def test_the_wheel_holds_every_file_of_the_program_and_nothing_else(packages: tuple[Path, Path]) -> None:
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", SOURCE, cwd=REPOSITORY).splitlines()
    wanted = {name.removeprefix("src/") for name in tracked}
    held = set(zipfile.ZipFile(packages[0]).namelist())
    assert {name for name in held if ".dist-info/" not in name} == wanted
    for kind in (".sql", ".html", ".js", ".css", ".json"):
        assert any(name.endswith(kind) for name in held), kind


def test_the_archive_holds_the_sources_and_no_secret_or_leftover(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[1]) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"README.md", "pyproject.toml", "deploy/systemd/kubecustody.service", "scripts/test"} <= names
    assert not [name for name in names if ".venv" in name or name.endswith((".key", ".db", ".pyc"))]


def test_the_wheel_runs_the_demo_in_an_environment_that_has_nothing_else(
    packages: tuple[Path, Path], tmp_path: Path
) -> None:
    uv, python = REPOSITORY / ".venv/bin/uv", tmp_path / "env/bin/python"
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env", cwd=tmp_path)
    # From the cache that scripts/setup filled: nothing is fetched.
    offline = (uv, "pip", "install", "--quiet", "--offline", "--python", python)
    run(*offline, "--require-hashes", "-r", REPOSITORY / "locks/demo.txt", cwd=tmp_path)
    run(*offline, "--no-deps", packages[0], cwd=tmp_path)
    listed = json.loads(run(uv, "pip", "list", "--format", "json", "--python", python, cwd=tmp_path))
    names = {one["name"] for one in listed}
    assert "kubecustody" in names and not names & {"pytest", "mypy", "ruff", "hypothesis", "jinja2"}
    told = run(tmp_path / "env/bin/kubecustody", "demo", "--once", cwd=tmp_path, HOME=str(tmp_path))
    for state in ("Unissued", "Unexpired", "Expired", "Removed", "Unknown"):
        assert state in told
    # Pages and migrations come with it too.
    code = "from kubecustody.pages.serving import SITE; print(SITE.joinpath('explorer.html').is_file())"
    assert run(python, "-c", code, cwd=tmp_path).strip() == "True"
