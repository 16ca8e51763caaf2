import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from opty import plot


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".PDF", b"%PDF"), (".svg", b"<?xml"), (".tif", b"II")]
)
def test_suffix_decides_the_format(make_state, tmp_path, suffix, start):
    path = tmp_path / f"picture{suffix}"
    plot.save_figure(plot.history(make_state()), path)
    assert path.read_bytes().startswith(start)


def test_saved_picture_has_content(make_state, tmp_path):
    from matplotlib.image import imread

    path = tmp_path / "picture.png"
    plot.save_figure(plot.overview(make_state()), path)
    pixels = imread(path)[..., :3]
    assert pixels.shape[0] > 1000
    assert np.isfinite(pixels).all()
    assert pixels.std() > 0.1


@pytest.mark.parametrize("name", ["picture.bmp", "picture", "picture.h5"])
def test_unknown_suffix_is_refused(make_state, tmp_path, name):
    with pytest.raises(ValueError, match=r"ends with one of \.png"):
        plot.save_figure(plot.history(make_state()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_failing_save_keeps_the_old_picture(make_state, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    fig = plot.history(make_state())

    def half(temporary, **_):
        with open(temporary, "wb") as file:
            file.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(fig, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        plot.save_figure(fig, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_settings_of_the_user_stay_and_do_not_show(make_state):
    with matplotlib.rc_context({"font.size": 40, "image.cmap": "jet", "image.origin": "lower"}):
        before = dict(matplotlib.rcParams)
        axes = plot.obj(make_state()).axes[0]
        assert dict(matplotlib.rcParams) == before
    assert axes.title.get_fontsize() == 10
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_importing_opty_imports_no_matplotlib():
    code = "import sys, opty, opty.plot, opty.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_matplotlib_names_the_extra(make_state, monkeypatch):
    p = make_state()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"opty-ptycho\[plot\]"):
        plot.overview(p)
