"""How much memory is free: what the system tells, and what the limits of a container or a batch job leave."""

import os

import pytest

from opty import memory


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Function that sets limit, use and reclaimable bytes of a group below the root of the control groups."""
    monkeypatch.setattr(memory, "_CGROUP", str(tmp_path))
    monkeypatch.setattr(memory, "_OWN", str(tmp_path / "own"))
    (tmp_path / "own").write_text("1:cpu:/elsewhere\n0::/job/step\n")

    def limit(group, most, used, files):
        folder = tmp_path / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 3\ninactive_file {files}\n")

    return limit


def test_what_is_free_is_less_than_all():
    assert 0 < memory.free_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_tightest_limit_of_the_groups_counts(limits):
    without = memory.free_memory()
    limits("job/step", "max", 500, 0)
    assert memory.free_memory() == pytest.approx(without, rel=0.2)
    limits("job", 1_000_000, 400_000, 50_000)
    assert memory.free_memory() == 650_000
    limits("job/step", 600_000, 550_000, 0)
    assert memory.free_memory() == 50_000
    limits("job/step", 600_000, 700_000, 0)
    assert memory.free_memory() == 0


def test_sizes_in_words():
    assert [memory.size(n) for n in (5, 2048, 3.2 * 2**30, 2**62)] == ["5 bytes", "2 KiB", "3.2 GiB", "4.1e+03 PiB"]
