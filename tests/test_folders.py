"""No test depends on the folder that it is started in, or on the user's own folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heatkp.data.crops import default_folder
from tests.conftest import heatkp


@pytest.fixture(scope="session")
def shared_folder():
    return Path.cwd()


def test_each_test_has_an_empty_folder_and_home(root, tmp_path, shared_folder):
    assert Path.cwd() == tmp_path and not list(tmp_path.iterdir())
    assert not list(Path.home().iterdir()) and default_folder().is_relative_to(Path.home())
    for folder in (tmp_path, Path.home(), shared_folder):
        assert not folder.is_relative_to(root)
    assert heatkp("report").exit_code == 2  # whatever runs the checkout holds


def test_commands_that_tests_start_run_this_code(root):
    assert os.environ["PYTHONPATH"].split(os.pathsep)[0] == str(root)
