"""Runs recipes with the opty that PYTHONPATH leads to, of this revision or another one: a line of JSON in, one out.

Nothing but what has long been public: PtychoData, PtychoState, Geometry, parse, misfit, numpy(), history.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import opty

LEAVES = ("obj", "probe", "positions")


class Worker:
    """The scan that is open, and what is asked of it."""

    def open(self, folder: str, threads: int) -> dict:
        """Load the arrays of a scan; answers where opty lies."""
        arrays = {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}
        told = Path(folder) / "geometry.json"
        geometry = opty.Geometry(**json.loads(told.read_text())) if told.exists() else None
        self.data = opty.PtychoData(arrays["diff"], arrays["pos"], geometry, arrays.get("mask"))
        self.begin, self.threads = dict(probe=arrays["probe0"], obj=arrays["obj0"]), threads
        return {"opty": opty.__file__}

    def run(self, recipe: str, iterations: int, dtype: str, output: str) -> dict:
        """Run a recipe from the start; leaves and history go to a file, the misfit is the answer."""
        p = parsed(recipe) ** iterations * self._start(dtype)
        history = {f"history {name}": np.asarray(series, np.float64) for name, series in p.history.items()}
        np.savez(output, **{name: p.numpy(name) for name in LEAVES}, **history)
        return {"misfit": opty.misfit(p)}

    def time(self, recipe: str, iterations: int) -> dict:
        """Return the seconds of an iteration, in a run of so many from the start."""
        op, p = parsed(recipe) ** iterations, self._start("complex64")
        begun = time.perf_counter()
        op * p
        return {"seconds": (time.perf_counter() - begun) / iterations}

    def parse(self, recipe: str) -> dict:
        """Refuse a recipe that this revision does not know."""
        parsed(recipe)
        return {}

    def _start(self, dtype: str) -> opty.PtychoState:
        return opty.PtychoState(self.data, **self.begin, seed=0, dtype=dtype, device="cpu", threads=self.threads)


def parsed(recipe: str) -> opty.Operator:
    """Return a recipe that may have names of older revisions: opty reads those in JSON, as result files have them."""
    try:
        return opty.parse(recipe)
    except opty.RecipeError:
        tree = ast.parse(recipe, mode="eval").body
        return opty.from_json(json.dumps({"opty": 1, "recipe": _in_json(tree)}))


def _in_json(tree: ast.expr) -> object:
    if isinstance(tree, ast.BinOp):
        return {"Compose": {"steps": [_in_json(tree.left), _in_json(tree.right)]}}
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return {tree.func.id: {k.arg: _in_json(k.value) for k in tree.keywords}}
    return ast.literal_eval(tree)


def main() -> None:
    """Answer until there is nothing more to read; what opty prints goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    worker = Worker()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = getattr(worker, asked.pop("do"))(**asked)
        except Exception as error:  # whatever it is, it is the answer of this revision
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
