"""What two revisions are compared on. Every parameter is written out, so that a changed default is no difference."""

from __future__ import annotations

from dataclasses import dataclass

RPIE = "rPIE(alpha=0.05, beta=1.0, batch={batch}, obj_step=1.0, probe_step=0.5, update='both')"
EPIE = "ePIE(batch=1, obj_step=1.0, probe_step=0.5, update='both')"
AP = "AP(obj_inertia=0.015, probe_inertia=0.0, obj_smooth=0.0, probe_smooth=0.0, update='both')"
PROJECT = "(beta={beta}, obj_inertia=0.01, probe_inertia=0.001, obj_smooth=0.0, probe_smooth=0.0, update='both')"
ML = "ML(noise='{noise}', smooth=0.0, update='both', damping=0.03)"
SEARCH = "PosCorrect(search=24, every=2, largest=2.0, weights='equal', hold=1.0, wait=False)"
ADAM = "PosCorrectAdam(step=0.5, decay=20.0, signal='object', beta1=0.9, beta2=0.999, largest=10.0, weights='equal')"

RECIPES = {
    "ePIE": EPIE,
    "rPIE": RPIE.format(batch=1),
    "rPIE in batches": RPIE.format(batch=16),
    "mPIE": "mPIE(alpha=0.1, beta=1.0, friction=0.7, every=50, batch=4, update='both')",
    "AP": AP,
    "DM": "DM" + PROJECT.format(beta=1.0),
    "RAAR": "RAAR" + PROJECT.format(beta=0.75),
    "LSQML": "LSQML(batch=32, order='uniform', alpha=0.1, beta=0.1, friction=0.5, update='both')",
    "ML poisson": ML.format(noise="poisson"),
    "ML gaussian": ML.format(noise="gaussian"),
    "ML amplitude": ML.format(noise="amplitude"),
    "positions": f"{SEARCH} * {RPIE.format(batch=1)}",
    "positions, Adam": f"{ADAM} * {EPIE}",
    "background, intensity": f"BackgroundUpdate(step=0.5, shape='free') * IntensityUpdate(step=1.0) * {AP}",
}


@dataclass(frozen=True)
class Meant:
    """A difference that is meant: against ``before`` and older revisions, on some recipes and scans (empty: all)."""

    before: str
    why: str
    recipes: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()

    def covers(self, recipe: str, scan: str) -> bool:
        """Whether a recipe on a scan may differ."""
        return (not self.recipes or recipe in self.recipes) and (not self.scans or scan in self.scans)


MEANT: tuple[Meant, ...] = (
    Meant(
        "6b8354b",
        "PosCorrect weights steps by what the counts tell, and holds positions that are right",
        ("positions",),
    ),
)
