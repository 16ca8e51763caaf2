"""Fixtures: four views of 16 x 16 in every variety, and where the helpers are found."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from small_scans import scan, state

VARIETIES = {
    f"{'sub-pixel' if fractional else 'whole'}-{modes}modes-mask{mask}-{dtype}": {
        "fractional": fractional,
        "modes": modes,
        "mask": mask,
        "background": mask == 2,
        "dtype": dtype,
    }
    for fractional, modes, mask, dtype in itertools.product(
        [False, True], [1, 3], [0, 2, 3], ["complex64", "complex128"]
    )
}


@pytest.fixture(params=VARIETIES.values(), ids=VARIETIES)
def four(request):
    """A state of four views: whole or fractional positions, 1 or 3 modes, masks, background, both precisions.

    With masks for each view, the beam flickers as well.
    """
    options = dict(request.param)
    dtype = options.pop("dtype")
    p = state(scan(views=4, span=6, **options), dtype=dtype)
    return p.replace(intensity_factors=[0.7, 1.4, 1.1, 0.8]) if options["mask"] == 3 else p


@pytest.fixture
def p():
    """A state of 12 views of 16 x 16 at fractional positions, object and probe somewhat wrong."""
    return state(scan())
