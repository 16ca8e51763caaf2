"""What the scripts thick_*.py share: the scan, and slices and CPU seconds after each number of iterations.

``python thick_X.py FOLDER SETTINGS SECONDS``: FOLDER holds scene.npz; SETTINGS are JSON; the package iterates with one
thread until so many CPU seconds are over, and its slices are kept after 1/8, 1/4, 1/2 and all of them.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

folder, settings, seconds = Path(sys.argv[1]), json.loads(sys.argv[2]), float(sys.argv[3])
scene = dict(np.load(folder / "scene.npz"))
WARM = 1  # iterations that compile and plan, and are not counted in the time


def follow(iterate, slices):
    """Iterate, and write what came of it: ``iterate(count)``; ``slices()``, (L, H, W) in the frame of the scan."""
    iterate(WARM)
    marks, spent, done = [seconds * share for share in (1 / 8, 1 / 4, 1 / 2, 1)], 0.0, WARM
    found, times, counts = [], [], []
    while marks:
        begun = time.process_time()
        iterate(1)
        spent += time.process_time() - begun
        done += 1
        if spent >= marks[0]:
            marks.pop(0)
            found.append(np.asarray(slices()))
            times.append(spent)
            counts.append(done)
    np.savez(folder / "found.npz", obj=found, seconds=times, iterations=counts)
