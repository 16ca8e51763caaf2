"""Fixtures of the analysis tests."""

import importlib.util

import pytest


@pytest.fixture(scope="session")
def bench(shared_bench):
    """The common benchmark's own error metric, as a module."""
    spec = importlib.util.spec_from_file_location("objerr", shared_bench / "objerr.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
