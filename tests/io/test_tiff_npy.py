"""The TIFF stack and NPY positions: which goes with which, kinds of TIFF, geometry by options."""

import numpy as np
import pytest
import tifffile

from opty.errors import FormatError
from opty.io import load

SEED = dict(wavelength=4.892e-10, distance=0.8907, pixel_size=13.5e-6)


@pytest.fixture
def where():
    return np.arange(8.0).reshape(4, 2) * 1e-7


@pytest.fixture
def folder(tmp_path, counts, where):
    """What listing 1 of the seed leaves behind."""
    tifffile.imwrite(tmp_path / "diatom_synth_new.tif", counts, photometric="minisblack")
    np.save(tmp_path / "synthpos_new.npy", where)
    return tmp_path


def test_stack_positions_or_folder(folder, counts, where, identical):
    for path in (folder, folder / "diatom_synth_new.tif", folder / "synthpos_new.npy"):
        data = load(path, **SEED)
        identical(data.intensities, counts)
        identical(data.positions, where)
        assert data.source["path"] == str(folder / "diatom_synth_new.tif")
        assert list(data.source["beside"]) == [str(folder / "synthpos_new.npy")]
    cone = load(folder, **SEED, focus_to_sample=2.5e-3, propagation="cone").geometry
    assert (cone.propagation, cone.focus_to_sample) == ("cone", 2.5e-3)


def test_geometry_is_asked_for(folder):
    with pytest.raises(FormatError, match=r"no wavelength; no distance; no pixel size: give wavelength=, distance=,"):
        load(folder)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"imagej": True},
        {"metadata": None},
        {"tile": (16, 16)},
        {"photometric": "rgb", "planarconfig": "separate"},
    ],
)
def test_kinds_of_tiff(folder, counts, options, identical):
    tifffile.imwrite(folder / "diatom_synth_new.tif", counts, **{"photometric": "minisblack"} | options)
    data = load(folder, **SEED)
    identical(data.intensities, counts)
    identical(load(folder, **SEED, views=[3, 1]).intensities, counts[[3, 1]])


def test_among_several_the_number_of_views_and_the_stem_decide(folder, counts, where, identical):
    np.save(folder / "other.npy", np.zeros((9, 2)))
    identical(load(folder / "diatom_synth_new.tif", **SEED).positions, where)
    np.save(folder / "third.npy", where + 1)
    with pytest.raises(FormatError, match=r"goes with each of synthpos_new.npy, third.npy: give one, positions="):
        load(folder / "diatom_synth_new.tif", **SEED)
    identical(load(folder, **SEED, positions=folder / "third.npy").positions, where + 1)
    np.save(folder / "diatom_synth_new.npy", where + 2)
    identical(load(folder / "diatom_synth_new.tif", **SEED).positions, where + 2)


def test_no_partner(folder, where):
    np.save(folder / "synthpos_new.npy", where[:3])
    with pytest.raises(
        FormatError, match=r"beside it there is synthpos_new.npy \(3\): give the positions of the views, p"
    ):
        load(folder / "diatom_synth_new.tif", **SEED)
    (folder / "synthpos_new.npy").unlink()
    with pytest.raises(FormatError, match=r"holds 4 views; beside it there is nothing of the kind: give the positions"):
        load(folder / "diatom_synth_new.tif", **SEED)
    with pytest.raises(FormatError, match=r"diatom_synth_new.tif \(4\); beside it there is nothing of the kind: give"):
        load(folder, **SEED)
    np.save(folder.parent / "elsewhere.npy", where)
    assert load(folder, **SEED, positions=folder.parent / "elsewhere.npy").views == 4


@pytest.mark.parametrize("shape", [(2, 4), (4, 3)])
def test_shapes_of_positions(folder, shape):
    array = np.arange(float(np.prod(shape))).reshape(shape) * 1e-7
    np.save(folder / "synthpos_new.npy", array)
    expected = array.T if shape == (2, 4) else array[:, :2]
    np.testing.assert_array_equal(load(folder, **SEED).positions, expected)


def test_colours_and_several_stacks_are_refused(folder, counts):
    tifffile.imwrite(folder / "diatom_synth_new.tif", np.zeros((4, 16, 16, 3), "uint8"), photometric="rgb")
    with pytest.raises(FormatError, match="expected grey ones"):
        load(folder, **SEED, positions=folder / "synthpos_new.npy")
    with tifffile.TiffWriter(folder / "diatom_synth_new.tif") as tif:
        tif.write(counts, photometric="minisblack")
        tif.write(counts[:, :8], photometric="minisblack")
    with pytest.raises(
        FormatError, match=r"is no stack of frames: it holds images of several sizes, 4 of 16 x 16 and 4 of 8 x 16$"
    ):
        load(folder, **SEED, positions=folder / "synthpos_new.npy")


def test_pickled_positions_are_refused(folder):
    np.save(folder / "synthpos_new.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"a pickle\), which opty never runs"):
        load(folder, **SEED, positions=folder / "synthpos_new.npy")


def test_mask_and_background_beside_the_stack(folder, rng, identical):
    mask, dark = np.eye(16) == 0, rng.uniform(0, 1, (16, 16)).astype("float32")
    np.save(folder / "diatom_synth_new_mask.npy", mask)
    np.save(folder / "diatom_synth_new_background.npy", dark)
    data = load(folder, **SEED)
    identical(data.mask, mask)
    identical(data.background, dark)
    assert len(data.source["beside"]) == 3
    np.save(folder / "diatom_synth_new_mask.npy", mask[:8])
    with pytest.raises(FormatError, match=r"_mask.npy has shape \(8, 16\)"):
        load(folder, **SEED)


def test_what_the_simulator_writes(tmp_path, counts, geometry, identical):
    from opty import PtychoData, simulate

    data = PtychoData(counts, np.arange(8.0).reshape(4, 2) * 1e-7, geometry, mask=np.eye(16) == 0)
    simulate.write(data, tmp_path / "scan.tif")
    lengths = {name: getattr(geometry, name) for name in ("wavelength", "distance", "pixel_size")}
    back = load(tmp_path, **lengths)
    identical(back.intensities, counts)
    identical(back.positions, data.positions)
    identical(back.mask, data.mask)
