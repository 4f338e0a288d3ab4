"""The project itself: its promises hold together."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs a checkout, not an installed package"
)


def test_ci_runs_the_second_command_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    commands = [line for line in readme.splitlines() if line.startswith("python3 -m venv .venv &&")]
    assert len(commands) == 2, "the README has two commands, each with all its set-up"
    assert commands[1] in (ROOT / ".ci" / "run").read_text()


def test_experiments_page_is_made_from_the_claims():
    done = subprocess.run([sys.executable, ROOT / "experiments" / "index.py", "--check"])
    assert done.returncode == 0, "run: python experiments/index.py"


def test_no_tracked_file_is_huge():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    big = [
        name
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).is_file() and (ROOT / name).stat().st_size > 16 * 2**20
    ]
    assert not big
