"""Experiments from a text file: TOML tables whose keys are the parameters of the functions of this package.

    seed                    of everything random
    [geometry]              pixels, and what ``opty.Geometry`` takes (or energy [J] in place of wavelength)
    model                   what makes the waves, as ``opty.model.parse`` reads it; without it, a thin object
    [object]                kind, and its parameters; contrast: one of ``objects.CONTRASTS``. [[object]] once for each
                            slice of ``Slices``, in the order in which the beam meets them, or state of
                            ``Object(states=)``
    [probe]                 kind, and its parameters; defocus [m]
    [probe.modes]           kind = "polynomials" or "zernike", and its parameters
    [scan]                  kind, and its parameters; overlap (and diameter [px]) in place of step; a raster without a
                            shape fills the object but for a margin [px]
    [[stage]]               kind, and the fields of that error; they act one after the other
    [exposure]              photons or dose; the fields of ``Exposure``; duty in place of travel for a stage that flies
    [detector]              the fields of ``Detector``

``n``, ``wavelength`` and ``pixel`` of a function come from [geometry]. examples/simulate.toml shows all of it.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from opty.geometry import Geometry
from opty.simulate import objects, probes, scans, stage
from opty.simulate.checks import blaming, fitting, known, meant, taken
from opty.simulate.detector import Detector
from opty.simulate.experiment import Experiment
from opty.simulate.exposure import Exposure

OBJECTS: dict[str, Callable] = {
    f.__name__: f for f in (objects.two_images, objects.siemens_star, objects.random_phase, objects.cells)
}
PROBES: dict[str, Callable] = {
    f.__name__: f
    for f in (
        probes.spherical_wave,
        probes.gaussian,
        probes.aperture,
        probes.two_images,
        probes.zone_plate,
        probes.hermite_gauss,
    )
}
MODES: dict[str, Callable] = {"polynomials": probes.modes, "zernike": probes.zernike}
SCANS: dict[str, Callable] = {
    f.__name__: f
    for f in (scans.raster, scans.fermat, scans.concentric, scans.lissajous, scans.fly_lines, scans.from_file)
}
ERRORS: dict[str, Callable] = {
    c.__name__.lower(): c for c in (stage.Gaussian, stage.Uniform, stage.Drift, stage.Backlash, stage.Affine)
}
TABLES = ("seed", "model", "geometry", "object", "probe", "scan", "stage", "exposure", "detector")


def read_config(path: str | Path, seed: int | None = None) -> Experiment:
    """Read a TOML file that describes an experiment; only the inputs of the experiment are computed.

    Parameters
    ----------
    path : of the file; pictures and positions that it names are looked for in its folder.
    seed : in place of the file's own.

    Raises
    ------
    ValueError, TypeError : a file that is no TOML, an unknown key (the message says which one it may have
        meant), a value of another type, and whatever the functions refuse; a note names the table.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    try:
        known("the file", tables, TABLES)
        return _Reader(path, tables, seed).experiment()
    except (ValueError, TypeError) as error:
        if not getattr(error, "__notes__", ()):
            error.add_note(f"(in {path})")
        raise


def named_files(path: str | Path) -> list[Path]:
    """Return the files that a config reads from: itself, pictures and positions; none of them may be written."""
    path = Path(path)
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    names = [tables.get("scan", {}).get("path")]
    objects_ = tables.get("object", {})
    for table in (*(objects_ if isinstance(objects_, list) else [objects_]), tables.get("probe", {})):
        names += table.get("names", ())
    return [path, *(path.parent / name for name in names if name is not None and name not in objects.BUNDLED)]


class _Reader:
    """One file, read to make an Experiment."""

    def __init__(self, path: Path, tables: dict[str, Any], seed: int | None):
        self.path, self.tables = path, tables
        self.seed = fitting("seed", tables.get("seed", 0) if seed is None else seed, int)
        self.given: dict[str, Any] = {"seed": self.seed}

    def experiment(self) -> Experiment:
        geometry = self._geometry()
        obj, probe = self._object(), self._probe()
        self.given |= {"shape": obj.shape[-2:]}
        scan, positions = self._scan()
        light, exposure = self._exposure(scan, positions)
        errors = [self._made(f"[[stage]] {k + 1}", t, ERRORS) for k, t in enumerate(self._list("stage"))]
        with blaming(self.path, "the experiment"):
            return Experiment(
                obj,
                probe,
                positions,
                **light,
                geometry=geometry,
                position_error=errors or None,
                exposure=exposure,
                detector=self._called("[detector]", Detector, self._table("detector"))
                if "detector" in self.tables
                else None,
                seed=self.seed,
                model=fitting("model", self.tables["model"], str) if "model" in self.tables else None,
            )

    def _geometry(self) -> Geometry:
        table = self._table("geometry")
        beam = next((name for name in ("energy", "voltage") if name in table), "wavelength")
        hints = inspect.get_annotations(Geometry, eval_str=True) | {"energy": float, "propagation": str, "pixels": int}
        known("[geometry]", table, [name for name in hints if name not in {"wavelength", "energy", "voltage"} - {beam}])
        for name in ("pixels", beam, "distance", "pixel_size"):
            if name not in table:
                raise ValueError(f"[geometry] lacks {name}")
        lengths = {name: fitting(f"[geometry] {name}", value, hints[name]) for name, value in table.items()}
        n = lengths.pop("pixels")
        with blaming(self.path, "[geometry]"):
            geometry = Geometry.from_energy(**lengths) if beam == "energy" else Geometry(**lengths)
            self.given |= {"n": n, "wavelength": geometry.wavelength, "pixel": geometry.sample_pixel(n)}
        return geometry

    def _object(self) -> np.ndarray:
        """Return the object (H, W); of several tables [[object]] the slices, or states, (L, H, W)."""
        if not isinstance(self.tables.get("object"), list):
            return self._slice("[object]", self._table("object"))
        slices = []
        for k, table in enumerate(self._list("object")):
            self.given["seed"] = self.seed + k  # else two random slices would be the same
            slices.append(self._slice(f"[[object]] {k + 1}", table))
        self.given["seed"] = self.seed
        for k, one in enumerate(slices):
            if one.shape != slices[0].shape:
                first = " x ".join(map(str, slices[0].shape))
                raise ValueError(
                    f"[[object]] {k + 1} has {one.shape[0]} x {one.shape[1]} pixels, and the first {first}: give all "
                    "one shape"
                )
        if len(slices) > 1 and "model" not in self.tables:
            count = len(slices)
            raise ValueError(
                f"{count} tables [[object]] are slices, or states: say in front of the tables which, such as "
                f'model = "Slices({count}, spacing=1e-6)" or model = "Object(states={count})"'
            )
        return np.array(slices) if len(slices) > 1 else slices[0]

    def _slice(self, where: str, table: dict[str, Any]) -> np.ndarray:
        table = dict(table)
        contrast = table.pop("contrast", None)
        obj = self._made(where, table, OBJECTS)
        if contrast is None:
            return obj
        if fitting(f"{where} contrast", contrast, str) not in objects.CONTRASTS:
            raise ValueError(f"{where} contrast is {contrast!r}{meant(contrast, objects.CONTRASTS)}")
        with blaming(self.path, where):
            return objects.with_contrast(obj, *objects.CONTRASTS[contrast])

    def _probe(self) -> np.ndarray:
        table = self._table("probe")
        distance, modes = table.pop("defocus", None), table.pop("modes", None)
        probe = self._made("[probe]", table, PROBES)
        if distance is not None:
            distance = fitting("[probe] defocus", distance, float)
            probe = probes.defocus(probe, self.given["wavelength"], self.given["pixel"], distance)
        return probe if modes is None else self._made("[probe.modes]", modes, MODES, probe=probe)

    def _scan(self) -> tuple[dict[str, Any], np.ndarray]:
        table = self._table("scan")
        if "overlap" in table:
            if "step" in table:
                raise ValueError("[scan] has both overlap and step: give one")
            diameter = fitting("[scan] diameter", table.pop("diameter", self.given["n"]), float)
            with blaming(self.path, "[scan]"):
                table["step"] = scans.step_for_overlap(fitting("[scan] overlap", table.pop("overlap"), float), diameter)
        if table.get("kind") == "raster" and "shape" not in table:
            with blaming(self.path, "[scan]"):
                step = fitting("[scan] step", table.get("step"), float)
                room = sum(fitting(f"[scan] {name}", table.get(name, 0.0), float) for name in ("jitter", "margin"))
                table["shape"] = scans.grid(self.given["shape"], self.given["n"], step, room)
            table.pop("margin", None)
        if "path" in table:
            table["path"] = str(self.path.parent / fitting("[scan] path", table["path"], str))
        given = dict(table)
        del self.given["shape"]
        return given, self._made("[scan]", table, SCANS)

    def _exposure(self, scan: dict[str, Any], positions: np.ndarray) -> tuple[dict[str, Any], Exposure]:
        table = self._table("exposure")
        light: dict[str, Any] = {
            name: fitting(f"[exposure] {name}", table.pop(name), float) for name in ("photons", "dose") if name in table
        }
        if "duty" in table:
            if "travel" in table:
                raise ValueError("[exposure] has both duty and travel: give one")
            line = scan["shape"][1] if scan["kind"] == "fly_lines" else None
            with blaming(self.path, "[exposure]"):
                duty = fitting("[exposure] duty", table.pop("duty"), float)
                table["travel"] = scans.travel(positions, duty, line).tolist()
        return light, self._called("[exposure]", Exposure, table)

    def _table(self, name: str) -> dict[str, Any]:
        table = self.tables.get(name, {})
        if not isinstance(table, dict):
            raise ValueError(f"{name} is {table!r}; write it as a table, [{name}]")
        return dict(table)

    def _list(self, name: str) -> list[dict[str, Any]]:
        found = self.tables.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError(f"{name} is {found!r}; write each error as a separate table, [[{name}]]")
        return found

    def _made(self, where: str, table: dict[str, Any], kinds: dict[str, Callable], **given: Any) -> Any:
        """Call what ``kind`` names with the other keys of a table."""
        table = dict(table)
        kind = fitting(f"{where} kind", taken(where, table, "kind"), str)
        if kind not in kinds:
            raise ValueError(f"{where} kind is {kind!r}{meant(kind, kinds)}")
        if isinstance(table.get("names"), list):
            table["names"] = [self._picture(name) for name in table["names"]]
        return self._called(where, kinds[kind], table, **given)

    def _picture(self, name: Any) -> Any:
        return name if name in objects.BUNDLED or not isinstance(name, str) else str(self.path.parent / name)

    def _called(self, where: str, function: Callable, table: dict[str, Any], **given: Any) -> Any:
        """Call a function with the keys of a table, and with values from the rest of the file."""
        parameters = inspect.signature(function).parameters
        hints = inspect.get_annotations(function, eval_str=True)
        common = {name: value for name, value in self.given.items() if name in parameters} | given
        fixed = set(common) - {"seed"}
        known(where, table, [name for name in parameters if name not in fixed])
        values = {name: fitting(f"{where} {name}", value, hints[name]) for name, value in table.items()}
        values = common | values
        for name, parameter in parameters.items():
            if parameter.default is inspect.Parameter.empty and name not in values:
                raise ValueError(f"{where} lacks {name}")
        with blaming(self.path, where):
            return function(**values)
