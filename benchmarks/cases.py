"""What is timed: engine x scan x positions, by device."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.scans import Scan

POSITIONS = "PosCorrectAdam() * rPIE()"


@dataclass(frozen=True)
class Case:
    """A recipe on a scan.

    ``part`` : "engines"; "models", recipes by model; "views", "modes" and "pixels", how time grows with each of them;
    "overhead", patterns so small that the rest is Python. ``subpixel`` : whether the positions lie off the pixels.
    ``model`` : in words, "" for the thin object.
    """

    part: str
    scan: Scan
    recipe: str
    subpixel: bool = False
    model: str = ""

    @property
    def label(self) -> str:
        """In a line, for ``--only``."""
        model = f" with {self.model}" if self.model else ""
        return f"{self.part} {self.scan.name}: {self.recipe}{', sub-pixel' * self.subpixel}{model}"


def _engines(scan: Scan, *recipes: str) -> list[Case]:
    return [Case("engines", scan, recipe) for recipe in recipes]


def _scaling(recipe: str = "AP()") -> list[Case]:
    """The same recipe on scans that grow: views, modes and n^2 log n each sixteenfold."""
    grids = ((8, 8), (8, 16), (16, 16), (16, 32), (32, 32))
    views = [Scan(f"{rows * columns} views", (rows, columns), 64, 8) for rows, columns in grids]
    modes = [Scan(f"{count} modes", (8, 16), 64, 8, count) for count in (1, 2, 4, 8, 16)]
    pixels = [Scan(f"{n} x {n}", (8, 16), n, n // 8) for n in (64, 96, 128, 160, 224)]
    series = {"views": views, "modes": modes, "pixels": pixels}
    return [Case(part, scan, recipe) for part, scans in series.items() for scan in scans]


A = Scan("A", (16, 16), 128, 12)
B = Scan("B", (14, 14), 256, 24, modes=3)
TINY = Scan("tiny", (8, 8), 16, 2)
SMALL = Scan("small", (4, 4), 32, 4, modes=2)  # of --quick
ALL = ("AP()", "DM()", "rPIE()", "rPIE(batch=16)", "ML()", "LSQML()", POSITIONS)
OVERHEAD = [Case("overhead", TINY, "AP()"), Case("overhead", TINY, "rPIE()")]
CPU = [
    *(case for scan in (A, B) for case in (*_engines(scan, *ALL), Case("engines", scan, "rPIE()", subpixel=True))),
    *_scaling(),
    *OVERHEAD,
]

K256 = Scan("1000 of 256 x 256", (25, 40), 256, 24)
K512 = Scan("1000 of 512 x 512", (25, 40), 512, 48)
GPU = [
    *_engines(K256, "AP()", "DM()", "ML()", "rPIE()", "rPIE(batch=16)", "LSQML()", "PosCorrect() * rPIE()", POSITIONS),
    Case("engines", K256, "rPIE()", subpixel=True),
    *_engines(K512, "AP()", "DM()", "ML()", "rPIE()"),
    *_engines(B, *ALL),
    *OVERHEAD,
]
QUICK = [*_engines(SMALL, "AP()", "DM()", "rPIE()", "ML()", "LSQML()"), Case("engines", SMALL, "rPIE()", subpixel=True)]
CASES = {"cpu": CPU, "gpu": GPU}

GAP = 1.28e-5  # m: 12.8 pixel^2 / wavelength, see scans.start
BY_MODEL = (  # the thin object comes first: the others are compared with it
    "Object()",
    f"Slices(2, spacing={GAP})",
    "Probe(variable=4)",
    "Object(states=2)",
    "FlyScan(3, travel=(0, 2e-08))",
    "Wavelengths((0.98, 1, 1.02))",
    "Blur(0.8)",
)


def _models(scan: Scan, *recipes: str) -> list[Case]:
    return [Case("models", scan, recipe, model=model) for recipe in recipes for model in BY_MODEL]


MODELS = _models(A, "rPIE()", "rPIE(batch=8)", "LSQML(batch=8)", "AP()", "ML()")
QUICK_MODELS = _models(Scan("small", (4, 4), 32, 4), "rPIE()")
