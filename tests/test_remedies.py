"""Remedies are arguments in Python and options on the command line: nothing that one cannot type is ever advised."""

import ast
import re
import shlex
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from small_scans import scan, state

import opty
from opty.cli import main
from opty.remedies import here, loading, named, on_command_line, option

IN_CALLS = re.compile(r"\w+\([^()]*\)")  # of operators, in the text of a recipe
PYTHON = re.compile(
    r"\b[a-zA-Z_]\w*=(?!=)|opty\.\w+|\.replace\(|PtychoData|PtychoState|Geometry|\bNone\b|\bTrue\b|typing|<class|"
    r"'float'|'int'|'str'|BinOp|\.py:\d+"
)


def test_an_option_reads_as_it_is_given_there():
    ways = [
        ("centre", (72.9, 59.8), "centre=(72.9, 59.8)", "--centre 72.9,59.8"),
        ("mask", ["dead", "hot"], "mask=['dead', 'hot']", "--mask dead,hot"),
        ("leave_out", [3, 17], "leave_out=[3, 17]", "--leave-out 3,17"),
        ("links", "my data.h5", "links='my data.h5'", "--links 'my data.h5'"),
        ("transpose", True, "transpose=True", "--transpose"),
        ("stream", False, "stream=False", "--no-stream"),
    ]
    names = {"centre", "mask", "leave_out", "links", "transpose", "stream"}
    for name, value, python, shell in ways:
        assert option(name, value) == python
        with on_command_line(names):
            assert option(name, value) == shell
    assert (option("pixel_size"), named("leave_out"), loading("crop", 64)) == (
        "pixel_size=",
        "leave_out",
        "opty.load: crop=64",
    )
    with on_command_line({"crop"}):
        assert (option("crop"), named("leave_out"), loading("crop", 64)) == ("--crop", "--leave-out", "--crop 64")
        assert option("pixel_size") == "--pixel-size of opty reconstruct"
        with pytest.raises(RuntimeError), on_command_line(()):
            raise RuntimeError
        assert here("python", "shell") == "shell"
    assert here("python", "shell") == "python"


# -- the command line, on files with something wrong


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of measurements each with one fault, of a result and of masks."""
    folder = tmp_path_factory.mktemp("files")
    data = scan()
    counts = np.asarray(data.intensities)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _measurements(folder, data, counts)
    opty.save(folder / "result.h5", opty.ePIE() * state(data))
    np.save(folder / "codes.npy", np.full((16, 16), 3))
    np.save(folder / "none.npy", np.zeros((16, 16)))
    np.save(folder / "positions.npy", data.positions * 1e-6)
    tifffile.imwrite(folder / "stack.tif", counts.astype(np.uint16))
    with h5py.File(folder / "linked.cxi", "w") as f:
        f["entry_1/data_1/data"] = h5py.ExternalLink("other.h5", "/data")
        f["cxi_version"] = 150
    return folder


def _measurements(folder, data, counts):
    def npz(name, diff, pos=data.positions, **more):
        np.savez(folder / name, diff=diff, pos=pos, **more)

    npz("good.npz", counts)
    bad = counts.copy()
    bad[2, 3, 4] = np.nan
    npz("nan.npz", bad)
    npz("negative.npz", counts - 1)
    dark = counts.copy()
    dark[3] = 0
    npz("dark.npz", dark)
    npz("oblong.npz", np.pad(counts, ((0, 0), (0, 4), (0, 0))))
    far = data.positions.copy()
    far[5] += 1e6
    npz("far.npz", counts, far)
    npz("unit.npz", counts, data.positions * 1e5)
    npz("spot.npz", counts, data.positions * 1e-6)
    opty.save(folder / "modes.h5", data.replace(probe=np.ones((3, 16, 16), np.complex64)))
    opty.save(folder / "masked.h5", data.replace(mask=np.eye(16) == 0))
    hot = np.rint(counts)
    hot[:, 12, 2], hot[:, 8, 8] = 1e5, 0
    npz("hot.npz", np.roll(hot, 3, axis=1))
    with h5py.File(folder / "bare.cxi", "w") as f:
        f["entry_1/data_1/data"] = counts.astype("f4")
        f["entry_1/data_1/translation"] = np.zeros((len(counts), 3))
        f["cxi_version"] = 150
    with h5py.File(folder / "unknown.h5", "w") as f:
        f["a/b"] = np.ones(3)


COMMANDS = {
    "lengths": "info bare.cxi",
    "lengths, in reconstruct": "reconstruct bare.cxi -o x.h5",
    "a link": "info linked.cxi",
    "no known layout": "info unknown.h5",
    "NaN": "info nan.npz",
    "negative counts": "reconstruct negative.npz -o x.h5",
    "dark frames": "convert dark.npz x.h5",
    "dark frames, in check": "check dark.npz",
    "dark frames, in info": "info dark.npz",
    "oblong": "info oblong.npz",
    "a stray view": "reconstruct far.npz -o x.h5",
    "a unit": "reconstruct unit.npz -o x.h5",
    "one spot": "reconstruct spot.npz -o x.h5",
    "one spot, in check": "check spot.npz",
    "modes": "reconstruct modes.h5 -o x.h5 --modes 2",
    "modes of a result": "reconstruct result.h5 -o x.h5 --modes 2",
    "hot and dead": "check hot.npz",
    "no metres": "convert good.npz x.cxi",
    "no place for a mask": "convert masked.h5 x.npz --format tike",
    "no such format": "convert good.npz x.h5 --format foo",
    "an option of other formats": "info good.npz --positions positions.npy",
    "an option of no result": "info result.h5 --crop 8",
    "a format of results": "convert result.h5 x.ptyr --format ptyr",
    "crop": "info good.npz --crop 99",
    "rebin": "info good.npz --rebin 3",
    "centre": "info good.npz --centre 99,2",
    "a cone": "info good.npz --wavelength 1e-10 --distance 1 --pixel-size 1e-4 --propagation cone",
    "a focus": "info good.npz --wavelength 1e-10 --distance 1 --pixel-size 1e-4 --focus-to-sample 1",
    "a wavelength below 0": "info good.npz --wavelength -1 --distance 1 --pixel-size 1e-4",
    "one length": "info good.npz --wavelength 1e-10",
    "no view": "info good.npz --views 99:",
    "views left out": "info good.npz --leave-out 0:",
    "a view beyond": "info good.npz --views 99",
    "a slice": "info good.npz --views 1:2:3:4",
    "a slice of letters": "info good.npz --views a:b",
    "streaming": "info good.npz --stream",
    "a mask of codes": "info good.npz --mask codes.npy",
    "a mask of nothing": "info good.npz --mask none.npy",
    "a mask that is not there": "info good.npz --mask hot,deda",
    "a flat of another size": "info good.npz --flat positions.npy",
    "a stack alone": "info stack.tif --positions good.npz",
    "a whole result": "resume result.h5",
    "a measurement": "resume good.npz",
    "weights": "reconstruct good.npz -o x.h5 --recipe \"PosCorrect(weights='a b')\"",
    "an array": "reconstruct good.npz -o x.h5 --recipe \"Support('pinhole') * rPIE()\"",
    "a sum": "reconstruct good.npz -o x.h5 --recipe ePIE()+ePIE()",
    "a wrong value": "reconstruct good.npz -o x.h5 --recipe ML(noise=3)",
    "a class": "reconstruct good.npz -o x.h5 --recipe rPIE",
    "a parameter": "reconstruct good.npz -o x.h5 --recipe Save()",
    "letters": "info good.npz --wavelength abc",
    "nothing": "reconstruct good.npz -o x.h5 --modes 0",
    "half": "info good.npz --rebin 1.5",
}


@pytest.mark.parametrize("line", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.filterwarnings("default")
def test_the_command_line_names_options(files, line, monkeypatch):
    monkeypatch.chdir(files)
    outcome = CliRunner().invoke(main, shlex.split(line))
    assert outcome.exit_code in (0, 1, 2)
    assert outcome.exit_code > 0 or "Warning: " in outcome.stderr or "attention" in outcome.stdout, outcome.output
    assert "fault in opty" not in outcome.stderr, outcome.stderr
    said = outcome.output
    while (less := IN_CALLS.sub("", said)) != said:
        said = less
    assert not PYTHON.search(said), (PYTHON.search(said), outcome.output)


def test_several_masks_stand_in_one_option(files, monkeypatch):
    monkeypatch.chdir(files)
    np.save("one,two.npy", np.ones((16, 16)))
    usable = []
    for words in (["hot,dead"], ["hot", "--mask", "dead"], ["hot,dead", "--mask", "one,two.npy"]):
        outcome = CliRunner().invoke(main, ["info", "hot.npz", "--json", "--mask", *words])
        assert outcome.exit_code == 0, outcome.output
        usable.append(re.search(r'"usable": ([\d.]+)', outcome.stdout).group(1))
    assert set(usable) == {str(1 - 2 / 256)}


# -- the sources


# Read by commands, with data.
REACHED = ("analysis", "io", "state", "files", "data/counts.py", "data/fields.py", "geometry.py")
REMEDY = re.compile(r"\b[a-z_]+=(?![=>])|opty\.(load|save|Ptycho|Geometry)|\.replace\(")
IN_PYTHON_ALONE = (  # arguments that no command has
    "delta",  # of opty.analysis.thickness and phase_map
    "potential=",
    "a thickness is a length",
    "beta needs a vacuum",
    "the vacuum is a line of pixels",
    "the scale of |O|: give vacuum=",
    "give a PtychoData, as from opty.load(measurement)",
    "give opty.PtychoData(intensities, positions) or opty.load(path)",
    "path of a PtychoData",
    "margin=",
    "save the state, p.save(",
    "an option is an array (mask=, dark=, flat=)",
    "use p = p.replace(",
    "different backgrounds: give dark= for both",
    "give crop=",
    "holds its frames",
    "load it yourself",
    "is a result of PtyPy",
    "those of data= are in pixels",
    "but data= holds",
    "in its class line",
)


def _texts(tree):
    """Yield the texts of a module that are no docstrings, nor the arguments of ``here``."""
    skipped = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            skipped.add(id(body[0].value))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("here", "option", "loading", "replaced"):
            skipped |= {id(part) for part in ast.walk(node)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in ast.walk(node) if part is not node}
            if id(node) not in skipped:
                yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def test_no_message_of_the_library_names_an_argument_as_python_has_it():
    package = Path(opty.__file__).parent
    found = [package / part for part in REACHED]
    files = [file for part in found for file in (part.rglob("*.py") if part.is_dir() else [part])]
    for file in files:
        for text in _texts(ast.parse(file.read_text())):
            if not any(part in text for part in IN_PYTHON_ALONE):
                assert not REMEDY.search(text), f"{file.relative_to(package)}: {text}: say it with opty.remedies"
