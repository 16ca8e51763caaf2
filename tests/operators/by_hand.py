"""The steps written out in plain loops, one view after the other, in double precision."""

from __future__ import annotations

import numpy as np
from small_scans import seen, shifted


def fft(w):
    return np.fft.fftshift(np.fft.fft2(np.asarray(w, complex), norm="ortho"))


def ifft(w):
    return np.fft.ifft2(np.fft.ifftshift(w), norm="ortho")


class View:
    """View j of a state: corner, fraction, illum (M, n, n), window (n, n), waves (M, n, n).

    ``root`` is the root of the view's intensity factor, by which it sees the probe; ``bright`` = root times window is
    what the probe is multiplied by.
    """

    def __init__(self, p, j, obj=None, probe=None):
        obj = p.numpy("obj") if obj is None else obj
        probe = p.numpy("probe") if probe is None else probe
        position = p.numpy("positions")[j]
        self.corner, self.illum, self.window = seen(obj.astype(complex), probe.astype(complex), position)
        self.root = 1 if p.intensity_factors is None else np.sqrt(p.intensity_factors[j])
        self.illum, self.bright = self.root * self.illum, self.root * self.window
        self.fraction = position - self.corner
        self.waves = self.illum * self.window
        self.where = tuple(slice(c, c + probe.shape[-1]) for c in self.corner)
        mask = p.data.mask
        self.mask = np.ones_like(self.window, bool) if mask is None else mask if mask.ndim == 2 else mask[j]
        self.intensity = p.data.intensities[j].astype(float)
        self.dark = 0 if p.background is None else p.background.astype(float)

    def back(self, w):
        """Move a wave back by the fraction by which the probe was moved."""
        return shifted(w, -self.fraction)

    def projected(self, waves=None):
        """Fourier projection of waves (M, n, n), and its squared misfit."""
        there = [fft(w) for w in (self.waves if waves is None else waves)]
        predicted = sum(abs(t) ** 2 for t in there) + self.dark
        factor = np.where(self.mask, np.sqrt(self.intensity / predicted), 1)
        misfit = (self.mask * (np.sqrt(self.intensity) - np.sqrt(predicted)) ** 2).sum()
        return np.array([ifft(factor * t) for t in there]), misfit

    def evidence(self, by=1e-4):
        """Sums over the pixels of the changes of the amplitudes where the window moves, by differences of them."""
        along = np.zeros((2, *self.window.shape), complex)
        along[0, 1:-1] = (self.window[2:] - self.window[:-2]) / 2
        along[1, :, 1:-1] = (self.window[:, 2:] - self.window[:, :-2]) / 2

        def amplitude(window):
            return np.sqrt(sum(abs(fft(w)) ** 2 for w in self.illum * window) + self.dark)

        changes = [(amplitude(self.window + by * d) - amplitude(self.window - by * d)) / (2 * by) for d in along]
        changes = np.array(changes) * self.mask
        r = self.mask * (np.sqrt(self.intensity) - amplitude(self.window))
        square = np.einsum("aij,bij", changes, changes)
        left = r - np.tensordot(np.linalg.solve(square, np.einsum("aij,ij", changes, r)), changes, 1)
        edges = [np.flatnonzero(np.arange(len(r)) * 8 // len(r) == k) for k in range(8)]
        sums = [[(c * left)[np.ix_(u, v)].sum() for u in edges for v in edges] for c in changes]
        noise = np.array(sums) @ np.transpose(sums)
        return [m[i, j] for m in (square, noise) for i, j in ((0, 0), (0, 1), (1, 1))] + [(r * r).sum()]


def photons(p):
    """Photons on unmasked pixels."""
    return sum((v.intensity * v.mask).sum() for v in (View(p, j) for j in range(p.data.views)))


def order(p, batch):
    """View numbers of the batches of the next sweep."""
    views = np.random.default_rng([p.seed, p.iteration]).permutation(p.data.views)
    return [views[k : k + batch] for k in range(0, len(views), batch)]


def pie(p, alpha, beta, batch, obj_step=1.0, probe_step=1.0):
    """One iteration of rPIE with summed weights: object, probe, misfit."""
    obj, probe = p.numpy("obj").astype(complex), p.numpy("probe").astype(complex)
    misfit = 0.0
    for views in order(p, batch):
        batch_views = [View(p, j, obj, probe) for j in views]
        up, down = np.zeros_like(obj), np.zeros(obj.shape)
        probe_up, probe_down = np.zeros_like(probe), np.zeros(probe.shape[1:])
        for v in batch_views:
            new, squares = v.projected()
            misfit += squares
            delta = new - v.waves
            up[v.where] += sum(np.conj(i) * d for i, d in zip(v.illum, delta, strict=True))
            down[v.where] += sum(abs(i) ** 2 for i in v.illum)
            probe_up += np.array([v.back(np.conj(v.bright) * d) for d in delta])
            probe_down += abs(v.bright) ** 2
        if batch == 1:  # the paper's formula: the largest weight of this view
            down = np.where(down > 0, down, 0)
        obj = obj + obj_step * up / (alpha * down.max() + (1 - alpha) * down + (down == 0))
        probe = probe + probe_step * probe_up / (beta * probe_down.max() + (1 - beta) * probe_down)
    return obj, probe, misfit / photons(p)


def merged_obj(p, waves, inertia, probe=None, obj=None):
    """Object from the waves (N, M, n, n) of all views."""
    obj = p.numpy("obj").astype(complex) if obj is None else obj
    up, down = np.zeros_like(obj), np.zeros(obj.shape)
    for j, view_waves in enumerate(waves):
        v = View(p, j, obj, probe)
        up[v.where] += (np.conj(v.illum) * view_waves).sum(axis=0)
        down[v.where] += (abs(v.illum) ** 2).sum(axis=0)
    c = inertia * down.max()
    return (up + c * obj) / (down + c)


def merged_probe(p, waves, inertia, obj=None):
    """Probe from the waves (N, M, n, n) of all views, which are psi_j = P(r - r_j) O(r) where they agree."""
    probe = p.numpy("probe").astype(complex)
    up, down = np.zeros_like(probe), np.zeros(probe.shape[1:])
    for j, view_waves in enumerate(waves):
        v = View(p, j, obj)
        # What psi adds to P O, moved back; for whole pixels that is sum conj(O) psi.
        up += np.array([v.back(np.conj(v.bright) * w) for w in view_waves - v.waves])
        down += abs(v.bright) ** 2
    if (p.numpy("positions") % 1).any():
        down[:] = down.max()
    up += probe * down
    c = inertia * down.max()
    return (up + c * probe) / (down + c)
