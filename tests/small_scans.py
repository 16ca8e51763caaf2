"""Small scans for the tests of algebra, state, operators and recipes, from a forward model in plain NumPy loops."""

from __future__ import annotations

import numpy as np

from opty import PtychoData, PtychoState

N = 16
TOLERANCE = {"complex64": 1e-5, "complex128": 1e-12}


def shifted(probe, fraction):
    """Return a probe (..., n, n) moved by a fraction of a pixel (2,): Fourier shift, written out."""
    q = np.fft.fftfreq(probe.shape[-1])
    turns = q[:, None] * fraction[0] + q * fraction[1]
    return np.fft.ifft2(np.fft.fft2(probe) * np.exp(-2j * np.pi * turns))


def seen(obj, probe, position):
    """Return what view sees: the corner (2,), the moved probe (M, n, n) and the object window (n, n)."""
    corner = np.rint(position).astype(int)
    r, c = corner
    n = probe.shape[-1]
    fraction = position - corner
    return corner, shifted(probe, fraction) if fraction.any() else probe, obj[r : r + n, c : c + n]


def pattern(waves):
    """Return the far-field intensity (n, n) of waves (M, n, n), zero frequency in the centre."""
    return sum(np.abs(np.fft.fftshift(np.fft.fft2(w, norm="ortho"))) ** 2 for w in waves)


def smooth(rng, shape, width):
    """Return complex noise without high frequencies, of unit mean square."""
    q = [np.fft.fftfreq(s) for s in shape]
    noise = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    noise = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((q[0][:, None] ** 2 + q[1] ** 2) * width**2) * 10))
    return noise / np.sqrt((np.abs(noise) ** 2).mean())


def true_probe(n=N, modes=1, photons=1e4):
    """Return a defocused Gaussian probe (M, n, n), with Hermite modes of falling power."""
    x = np.arange(n) - n / 2
    disc = np.exp(-(x[:, None] ** 2 + x**2) / (0.32 * n**2 / 4) * (1 - 0.7j))
    waves = np.stack([disc, disc * x[:, None] * 0.3, disc * x * 0.2])[:modes]
    return waves * np.sqrt(photons / (np.abs(waves) ** 2).sum())


def scan(views=12, n=N, fractional=True, modes=1, mask=0, background=False, seed=0, span=14, photons=1e4):
    """Return PtychoData without noise, float64, with truth; ``mask`` is its number of axes (0 for none)."""
    rng = np.random.default_rng(seed)
    positions = 3 + span * rng.random((views, 2))
    positions = positions if fractional else np.rint(positions)
    size = (span + n + 7, span + n + 9)
    obj = (0.8 + 0.15 * smooth(rng, size, 1.5).real) * np.exp(0.6j * smooth(rng, size, 2).real)
    probe = true_probe(n, modes, photons)
    dark = 0.5 + rng.random((n, n)) if background else np.zeros((n, n))
    dark = dark.astype(np.float32).astype(float)
    intensities = []
    for position in positions:
        _, illum, window = seen(obj, probe, position)
        intensities.append(pattern(illum * window) + dark)
    hidden = rng.random((views, n, n)[3 - mask :]) < 0.15 if mask else None
    return PtychoData(
        np.array(intensities),
        positions,
        mask=None if hidden is None else ~hidden,
        background=dark if background else None,
        truth={"obj": obj, "probe": probe, "positions": positions},
    )


def state(data, wrong=0.2, dtype="complex64", seed=0, **options):
    """Return a state near the truth of ``data``: object and probe off by ``wrong``, relative."""
    rng = np.random.default_rng(seed + 100)
    obj, probe = data.truth["obj"], data.truth["probe"]
    obj = obj + wrong * smooth(rng, obj.shape, 1)
    probe = probe * (1 + wrong * smooth(rng, probe.shape[1:], 2))
    return PtychoState(
        data, **{"probe": probe, "obj": obj, "dtype": dtype, "seed": seed, "device": "cpu", "threads": 1} | options
    )


def everything(p) -> dict:
    """Return all that a state holds, as arrays of one's own."""
    host = p.to("cpu")
    extra = [name for name in ("background", "intensity_factors") if getattr(host, name) is not None]
    held = {name: host.numpy(name) for name in ("obj", "probe", "positions", *extra, *host.slots, *host.arrays)}
    return held | {f"history:{k}": v for k, v in p.history.items()} | {"iteration": np.array(p.iteration)}


def same(a, b) -> bool:
    """Say whether two states (or what ``everything`` gave) hold the same bits."""
    a, b = (x if isinstance(x, dict) else everything(x) for x in (a, b))
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a
    )


def close(a, b, tolerance) -> bool:
    """Say whether two states agree, relative to the largest value of each array."""
    a, b = everything(a), everything(b)
    assert a.keys() == b.keys()
    return all(np.abs(a[k] - b[k]).max() <= tolerance * max(np.abs(b[k]).max(), 1e-30) for k in a if a[k].size)


def drift(p, q):
    """Return how far object or probe moved from one state to another: the largest change against the largest value."""
    pairs = [(p.numpy(name), q.numpy(name)) for name in ("obj", "probe")]
    return max(abs(after - before).max() / abs(before).max() for before, after in pairs)
