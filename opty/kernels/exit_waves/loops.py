"""Exit waves of a batch, and the step that kept waves take: compiled by numba."""

from __future__ import annotations

from opty.kernels.compiled import compiled


@compiled
def exit_waves(obj, corners, illum, waves):
    """waves_jm = illum_jm O_j."""
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, w = obj[top + r, left : left + n], illum[i, m, r], waves[j, m, r]
                for c in range(n):
                    w[c] = o[c] * p[c]


@compiled
def reflect(obj, corners, illum, kept, rows, waves):
    """waves_jm = 2 illum_jm O_j - kept_jm."""
    views, modes, n, _ = waves.shape
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, k, w = obj[top + r, left : left + n], illum[i, m, r], kept[rows[j], m, r], waves[j, m, r]
                for c in range(n):
                    overlap = o[c] * p[c]
                    w[c] = overlap + (overlap - k[c])


@compiled
def advance(obj, corners, illum, waves, kept, rows, beta, share):
    """kept_jm = share kept_jm + (1 - share) illum_jm O_j + beta waves_jm; with share 0 kept is not read."""
    views, modes, n, _ = waves.shape
    real = waves.real.dtype.type
    step, held, fresh = real(beta), real(share), real(1 - share)
    for j in range(views):
        top, left, i = corners[j, 0], corners[j, 1], min(j, illum.shape[0] - 1)
        for m in range(modes):
            for r in range(n):
                o, p, k, w = obj[top + r, left : left + n], illum[i, m, r], kept[rows[j], m, r], waves[j, m, r]
                if share == 0:  # what was kept need not be read
                    for c in range(n):
                        new = o[c] * p[c]
                        k[c] = complex(new.real + step * w[c].real, new.imag + step * w[c].imag)
                else:
                    for c in range(n):
                        new = o[c] * p[c]
                        k[c] = complex(
                            fresh * new.real + held * k[c].real + step * w[c].real,
                            fresh * new.imag + held * k[c].imag + step * w[c].imag,
                        )
