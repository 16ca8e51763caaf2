"""Write the pictures that test_pictures.py compares with: PYTHONPATH=. python tests/plot/make_pictures.py."""

import sys
from pathlib import Path

from matplotlib import pyplot as plt

sys.path[:0] = [str(Path(__file__).parent)]

import conftest  # noqa: E402
import test_pictures  # noqa: E402

if __name__ == "__main__":
    test_pictures.MADE.mkdir(exist_ok=True)
    for name, draw in test_pictures.PICTURES.items():
        image = test_pictures.drawn(draw(conftest.make_state.__wrapped__()()))
        plt.imsave(test_pictures.MADE / f"{name}.png", image, cmap="gray", vmin=0, vmax=1)
        plt.close("all")
