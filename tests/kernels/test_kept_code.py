"""Compiled loops on disk: what two processes write at the same time is never taken one for the other."""

import importlib
import pkgutil

import pytest

numba = pytest.importorskip("numba", reason="only numba keeps compiled code")

from numba.core.caching import IndexDataCacheFile, NullCache  # noqa: E402

import opty.kernels  # noqa: E402
from opty.kernels.kept_code import CodeByTypes  # noqa: E402

SINGLE, DOUBLE = (("float32",), "cpu", "code"), (("float64",), "cpu", "code")


def raced(kind, folder):
    """Return what is read for two types after two processes have saved code at once, neither seeing the other's index.

    The second has written its index, and the first all of its own, before the second writes its code.
    """
    first, second = racers = [kind(str(folder), "loop", (1.0, 2)) for _ in range(2)]
    write = second._save_data

    def late(name, data):
        first.save(SINGLE, "for single")
        write(name, data)

    second._save_data = late
    for racer in racers:
        racer._load_index = dict
    second.save(DOUBLE, "for double")
    reader = kind(str(folder), "loop", (1.0, 2))
    return [reader.load(SINGLE), reader.load(DOUBLE)]


def test_numba_itself_takes_the_code_of_one_type_for_another(tmp_path):
    """The reason for our own names; once this fails, opty.kernels.kept_code can go."""
    assert raced(IndexDataCacheFile, tmp_path)[0] == "for double"


def test_code_is_that_of_its_types_or_none(tmp_path):
    single, double = raced(CodeByTypes, tmp_path)
    assert single is None
    assert double == "for double"


def test_code_is_found_again(tmp_path):
    first = CodeByTypes(str(tmp_path), "loop", (1.0, 2))
    first.save(SINGLE, "for single")
    first.save(DOUBLE, "for double")
    again = CodeByTypes(str(tmp_path), "loop", (1.0, 2))
    assert [again.load(SINGLE), again.load(DOUBLE)] == ["for single", "for double"]
    assert CodeByTypes(str(tmp_path), "loop", (1.0, 3)).load(SINGLE) is None, "of another source"


def test_every_compiled_loop_is_kept_so():
    kept = []
    for module in pkgutil.walk_packages(opty.kernels.__path__, "opty.kernels."):
        if module.name.endswith(".loops"):
            named = vars(importlib.import_module(module.name)).values()
            functions = [thing for thing in named if isinstance(thing, numba.core.dispatcher.Dispatcher)]
            kept += [f._cache._cache_file for f in functions if not isinstance(f._cache, NullCache)]
    assert len(kept) > 30
    assert {type(file) for file in kept} == {CodeByTypes}
