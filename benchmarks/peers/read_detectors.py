"""Reads files of detectors with the package that is installed: (rows, columns, n, n) or (N, n, n) of each.

``python read_detectors.py PACKAGE FOLDER``: FOLDER/samples.json holds {name: [kind, path]}; found_PACKAGE.npz gets the
arrays, by number, and found_PACKAGE.json {name: number, or why there is none}.
"""

import json
import os
import sys
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"

import numpy as np

NOT_TRIED = "-"


def rosettasciio(kind, path):
    """RosettaSciIO; it turns the rows of Merlin's images round, and has the axes of EMD in reverse order."""
    if kind == "merlin":
        from rsciio.quantumdetector import file_reader

        return file_reader(path)[0]["data"][..., ::-1, :]
    if kind == "empad":
        from rsciio.empad import file_reader

        return file_reader(path)[0]["data"]
    if kind == "emd":
        from rsciio.emd import file_reader

        return file_reader(path)[0]["data"].T
    if kind == "arina":
        from rsciio.arina import file_reader

        return file_reader(path, navigation_shape=(1, "auto"))[0]["data"]
    raise NotImplementedError(NOT_TRIED)


def libertem(kind, path):
    """LiberTEM, the one of these that reads raw images of Merlin; not by its default backend."""
    from libertem.api import Context
    from libertem.executor.inline import InlineJobExecutor
    from libertem.io.dataset.base import BufferedBackend
    from libertem.udf.raw import PickUDF

    class Wide(PickUDF):
        """Raw images of 24 bits are said to be uint16."""

        def get_preferred_input_dtype(self):
            return np.uint32

    context = Context(executor=InlineJobExecutor())
    if kind == "merlin":
        scan, pick = context.load("mib", path=path.replace(".mib", ".hdr"), io_backend=BufferedBackend()), Wide()
    elif kind == "empad":
        scan, pick = context.load("empad", path=path), PickUDF()
    else:
        raise NotImplementedError(NOT_TRIED)
    return context.run_udf(scan, pick, roi=np.ones(tuple(scan.shape.nav), bool))["intensity"].data


def py4dstem(kind, path):
    """py4DSTEM; its reader of .mib is for 256 x 256 pixels in four chips."""
    import py4DSTEM

    if kind == "empad":
        raw = path.replace("empad.xml", "scan_x3_y2.raw")
        return py4DSTEM.import_file(raw, filetype="empad", EMPAD_shape=(2, 3, 130, 128)).data
    if kind == "arina":
        return py4DSTEM.import_file(path, filetype="arina", scan_width=1).data
    raise NotImplementedError(NOT_TRIED)


def silx(kind, path):
    """fabio, of the same authors."""
    import fabio
    import fabio.file_series

    if kind in ("eiger", "arina"):
        with fabio.open(path) as master:
            return np.stack([master.get_frame(k).data for k in range(master.nframes)])
    if kind == "tiff":
        names = sorted(Path(path).parent.glob("scan_*.tif"), key=lambda name: int(name.stem.split("_")[1]))
        return np.stack([fabio.open(str(name)).data for name in names])
    raise NotImplementedError(NOT_TRIED)


package, folder = sys.argv[1], Path(sys.argv[2])
read = {"rosettasciio": rosettasciio, "libertem": libertem, "py4dstem": py4dstem, "silx": silx}[package]
arrays, said = [], {}
for name, (kind, path) in json.loads((folder / "samples.json").read_text()).items():
    try:
        arrays.append(np.asarray(read(kind, path)))
        said[name] = len(arrays) - 1
    except Exception as error:  # whatever it is, it goes into the table
        line = (str(error) or "no message").strip().splitlines()[0][:100]
        said[name] = line if line == NOT_TRIED else f"{type(error).__name__}: {line}"
np.savez(folder / f"found_{package}.npz", **{f"a{k}": array for k, array in enumerate(arrays)})
(folder / f"found_{package}.json").write_text(json.dumps(said))
