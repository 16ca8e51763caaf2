"""What the scripts speed_*.py share: the scan, and turns of iterations that the benchmark asks for, one at a time.

``python speed_X.py FOLDER ENGINE BATCH THREADS DEVICE``: FOLDER holds diff.npy, pos.npy, probe0.npy and obj0.npy.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

folder, engine, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
threads, device = int(sys.argv[4]), sys.argv[5]
diff, pos, probe0, obj0 = (np.load(folder / f"{name}.npy") for name in ("diff", "pos", "probe0", "obj0"))
corners = np.rint(pos).astype(int)

# what packages print goes where errors go: the answers have standard output for themselves
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def serve(iterate, wait=lambda: None):
    """Answer every line, a number of iterations, with the seconds that they took and the package's own error.

    ``iterate(count)`` runs so many iterations, going on from the last, and returns the error; ``wait()`` waits for the
    device.
    """
    print(json.dumps("ready"), file=_answers, flush=True)
    for line in sys.stdin:
        wait()
        begun = time.perf_counter()
        error = iterate(int(line))
        wait()
        taken = time.perf_counter() - begun
        print(json.dumps({"seconds": taken, "error": float(error)}), file=_answers, flush=True)


def torch_ready():
    """Set PyTorch's threads; return its name of the device, and the function that waits for it."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    return ("cuda", torch.cuda.synchronize) if device == "gpu" else ("cpu", lambda: None)
