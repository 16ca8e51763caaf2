"""Every template instance of the CUDA kernels that opty can launch, by file; what each takes as template arguments."""

from __future__ import annotations

from itertools import product

from opty.arrays.cuda import COUNTS, INDICES, PIXELS, REALS
from opty.kernels.accumulate.gpu import MODES_AT_ONCE
from opty.kernels.fft.pipeline import MODES_HELD, SIDES
from opty.kernels.positions.correlation_peaks import REACH

_SIDES, _HELD = ([str(n) for n in SIDES], [str(modes) for modes in range(MODES_HELD + 1)])
_DOUBLE = ("double",)
_FLAGS = ["false", "true"]

# By the path of the .cu file below opty/kernels.
_KERNELS = {
    "accumulate/accumulate": {
        **{name: (REALS.values(),) for name in ("add_to_object", "add_to_object_in_order", "add_to_probe")},
        "add_to_both": (REALS.values(), [str(modes) for modes in range(1, MODES_AT_ONCE + 1)]),
        "sum_parts": (_DOUBLE,),
    },
    "accumulate/windows": {
        **{name: (PIXELS.values(), INDICES.values()) for name in ("take_windows", "add_windows")},
        "add_windows_in_order": (PIXELS.values(), INDICES.values()),
        "place": (_DOUBLE,),
    },
    "detector/detector": {
        name: (REALS.values(), COUNTS.values()) for name in ("fourier_modulus", "put_slope", "add_up_changes")
    },
    "exit_waves/exit_waves": {name: (REALS.values(),) for name in ("exit_waves", "reflect", "advance", "along")},
    "fft/columns": {
        **{name: (["float"], _SIDES, _HELD) for name in ("modulus_columns", "slope_columns")},
        "changes_columns": (["float"], _SIDES),
    },
    "fft/rows": {
        "form_rows": (["float"], _SIDES, _FLAGS),
        **{name: (["float"], _SIDES) for name in ("reflect_rows", "back_rows", "back_rows_to_probe")},
        **{name: (["float"], _SIDES) for name in ("advance_rows", "update_rows", "along_rows")},
    },
    "finite/finite": {"find_broken": (REALS.values(),), "find_strays": (_DOUBLE,)},
    "least_squares/least_squares": {
        **{name: (REALS.values(),) for name in ("add_up_products", "add_light", "add_light_in_order")},
        **{name: (REALS.values(),) for name in ("transmission", "add_average")},
        "solve": (_DOUBLE,),
    },
    "likelihood/line_search": {"best_step": (_DOUBLE,)},
    "positions/registration": {
        "contrast": (REALS.values(),),
        **{name: (REALS.values(), [str(REACH)]) for name in ("near_rows", "peak")},
    },
    "positions/sense": {
        "add_up_senses": (REALS.values(), _FLAGS),
        "keep_senses": (_DOUBLE, _FLAGS),
        "windows_asked_for": (REALS.values(),),
    },
    "shifts/shifts": {name: (REALS.values(),) for name in ("shift", "through_object", "sum_shifted_back", "add_seen")},
    "update/scaling": {name: (REALS.values(),) for name in ("add_up_power", "take_scale")},
    "update/update": {
        name: (REALS.values(),)
        for name in ("largest", "add_scaled", "divide", "merge", "largest_of_both", "update_both")
    },
}


def instances() -> dict[str, list[str]]:
    """Return every template instance that opty can launch, by the path of its .cu file below opty/kernels."""
    return {
        file: [f"{name}<{', '.join(types)}>" for name, choices in kernels.items() for types in product(*choices)]
        for file, kernels in _KERNELS.items()
    }
