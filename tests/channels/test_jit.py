"""Kernels compile at first use, are cached on disk, and work where nothing can be written."""

import os
import subprocess
import sys
import textwrap

import pytest

KERNEL = """
from channels.jit import kernel

@kernel
def add_up(values):
    total = 0
    for value in values:
        total += value
    return total
"""
RUN = """
import numpy as np
from channels.jit import watch_compilation
import sample_kernel
with watch_compilation(lambda name: print("compiling", name)):
    print(sample_kernel.add_up(np.arange(10)))
"""


def run(folder, **environment):
    code = textwrap.dedent(RUN)
    paths = os.pathsep.join([str(folder), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")[:-1]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sample_kernel.py").write_text(KERNEL)
    return tmp_path


def test_second_process_finds_the_machine_code_on_disk(folder):
    cache = str(folder / "cache")
    assert run(folder, NUMBA_CACHE_DIR=cache) == ["compiling add_up", "45"]
    assert run(folder, NUMBA_CACHE_DIR=cache) == ["45"]


def test_kernels_work_where_no_cache_can_be_written(folder):
    blocked = folder / "a_file_not_a_folder"
    blocked.write_text("")
    (folder / "__pycache__").write_text("")  # root may write anywhere, but not into a file
    nowhere = {
        "NUMBA_CACHE_DIR": str(blocked / "cache"),
        "HOME": str(blocked),
        "XDG_CACHE_HOME": str(blocked / "xdg"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    assert run(folder, **nowhere) == ["compiling add_up", "45"]


def test_importing_channels_does_not_import_numba():
    code = "import sys, channels; print('numba' in sys.modules, 'scipy' in sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.split() == ["False", "False"]
