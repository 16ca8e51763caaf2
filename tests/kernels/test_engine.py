"""Both engines implement the protocol; their buffers are the same on both devices."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from small_scans import scan, state

import opty
from opty.fusion.fits import BestSteps, Gradient, Search
from opty.fusion.positions import Sense
from opty.fusion.sweeps import Accumulate, KeptStep, Project, Update
from opty.kernels import numpy_backend
from opty.kernels.buffers import Accumulators, Scratch
from opty.kernels.engine import Engine
from opty.kernels.workspace import Workspace
from opty.physics.propagation import Propagator

METHODS = {name: f for name, f in vars(Engine).items() if inspect.isfunction(f) and not name.startswith("_")}


@pytest.mark.parametrize("name", METHODS)
def test_both_engines_take_what_the_protocol_says(standin_gpu, name):
    def arguments(f):
        return [(p.name, p.default, p.kind) for p in inspect.signature(f).parameters.values()]

    for backend in (numpy_backend, standin_gpu):
        assert arguments(getattr(backend.Engine, name)) == arguments(METHODS[name])


def test_an_engine_has_nothing_public_beside_the_protocol(standin_gpu):
    of_gpu_alone = {"sense_shifts"}  # the CPU does it step by step
    of_cpu_alone = {"mix", "shift_each", "behind", "vary_one", "update_seen", "move_modes"}  # of a probe that varies
    of_cpu_alone |= {"add_up_variation", "along_modes", "let_through_each"}
    of_cpu_alone |= {
        "project_through",
        "slope_through",
        "through",
        "across",
        "let_through",
        "change_behind",
    }  # of slices
    of_cpu_alone |= {"products_of", "to_detector", "changes_to", "add_to_slice"}
    for backend, more in ((numpy_backend, of_cpu_alone), (standin_gpu, of_gpu_alone)):
        assert {name for name in dir(backend.Engine) if not name.startswith("_")} == METHODS.keys() | more


def test_buffers_are_the_same_on_both_devices(standin_gpu):
    for backend in (numpy_backend, standin_gpu):
        engine = backend.Engine(Propagator(None, 8, backend, "complex64"), (2, 8, 8), "complex64", 1)
        engine.new_sweep(True, 5)
        first, generation = engine.scratch("waves", 3), engine.generation
        assert first.shape == (3, 2, 8, 8)
        assert engine.scratch("waves", 5).base is first.base, "memory for the largest batch is taken at once"
        assert engine.generation == generation
        kept = engine.persistent("numbers", (2, 3))
        assert engine.generation == generation + 1
        assert backend.to_host(kept).tolist() == np.zeros((2, 3)).tolist()
        kept[...] = 7
        assert (backend.to_host(engine.persistent("numbers", (3,))) == 7).all()
        total, weight = engine.accumulators("obj", (1, 9, 9))
        assert (total.shape, weight.shape, weight.dtype) == ((1, 9, 9), (9, 9), np.float32)
        assert engine.accumulators("obj", (1, 9, 9))[0] is total


FUSED = (Accumulate, BestSteps, Gradient, KeptStep, Project, Search, Sense, Update)
RECIPES = [
    *(opty.rPIE(batch=batch) for batch in (1, 4)),
    *(opty.AP(), opty.DM(), opty.ML(), opty.LSQML(batch=4), opty.PosCorrectAdam() * opty.rPIE(batch=4)),
]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("recipe", RECIPES, ids=repr)
def test_a_fused_step_takes_the_buffers_that_it_declares(recipe, whole, monkeypatch):
    running, taken = [], set()

    def applied(kind, apply):
        def method(self, s, b):
            running.append((self.buffers, b.size))
            apply(self, s, b)
            running.pop()

        monkeypatch.setattr(kind, "apply", method)

    def scratch(self, name, views, times=1, found=Workspace.scratch):
        if running:
            taken.add(name)
            assert name in {buffer.name for buffer in running[-1][0] if isinstance(buffer, Scratch)}
        return found(self, name, views, times)

    def accumulators(self, leaf, shape, found=Workspace.accumulators):
        buffers, size = running[-1]
        taken.add(leaf)
        (declared,) = [buffer for buffer in buffers if isinstance(buffer, Accumulators) and buffer.leaf == leaf]
        assert declared.needed(size, whole)
        return found(self, leaf, shape)

    for kind in FUSED:
        applied(kind, kind.apply)
    monkeypatch.setattr(Workspace, "scratch", scratch)
    monkeypatch.setattr(Workspace, "accumulators", accumulators)
    recipe**2 * state(scan(fractional=not whole), wrong=0.1)
    assert taken or whole
