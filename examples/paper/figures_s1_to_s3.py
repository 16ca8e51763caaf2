"""Three Zernike modes on a spherical wave (Fig. S1 of Guzzi et al. 2022), with three modes and with seven (S3).

Their supplement says that more modes than were simulated are mandatory. This script asks when that is so: once the
three modes have the shapes of the first three that the reconstruction starts from (the spherical wave times 1, row,
column), once they have not.

The numbers in docs/simulate.md are of 256 x 256.
"""

import numpy as np
from paper import bare, main_number, save, sized

import opty
from opty.analysis import align, illuminated, orthogonal
from opty.simulate import experiment, objects, probes, scans

N = sized(64, 96, 1024)
TURNS = sized(12, 20, 40)
GEOMETRY = opty.Geometry(4.892e-10, 0.8907, 13.5e-6 * 1024 / N, focus_to_sample=2.5e-3, propagation="cone")
SHAPES = {"piston and tilts": (1, 2, 3), "piston, defocus, astigmatism": (1, 4, 6)}  # Noll's index
ENGINE = opty.rPIE(alpha=0.1)


def simulated(terms):
    """64 views of a textured object, 10^9 photons each, and the spherical wave as a guess of the probe."""
    pixel = GEOMETRY.sample_pixel(N)
    wave = probes.spherical_wave(N, GEOMETRY.wavelength, pixel, GEOMETRY.focus_to_sample, N * pixel / 3)
    step = scans.step_for_overlap(0.73, N / 3)
    obj = objects.two_images((int(8 * step) + N, int(8 * step) + N), ("camera", "gravel"), (0.3, 1), (-1.2, 1.2))
    modes = probes.zernike(wave, terms, powers=(4, 2, 1))
    data = experiment(obj, modes, scans.raster((8, 8), step, jitter=step / 8), photons=1e9, geometry=GEOMETRY)
    return data.replace(probe=wave)


def in_the_frame_of_the_truth(p):
    """Modes (M, n, n), orthogonal, less the factor, ramp and shift that data leave open; the object; its error."""
    truth = p.data.truth
    offset = np.rint(p.positions.mean(axis=0) - truth["positions"].mean(axis=0))
    lit = illuminated(truth["positions"], truth["probe"], truth["obj"].shape)
    obj, found = align(p.numpy("obj"), truth["obj"], lit, offset)
    r, q = np.arange(N), np.fft.fftfreq(N)
    row, col = (np.exp(-1j * slope * r) for slope in found.ramp)
    shift = np.array(found.shift) - (p.positions - truth["positions"]).mean(axis=0) + offset
    back = np.exp(2j * np.pi * (q[:, None] * shift[0] + q * shift[1]))
    modes = p.numpy("probe") * row[:, None] * col / found.constant
    return orthogonal(np.fft.ifft2(np.fft.fft2(modes) * back)), obj, found.error


def compared(p):
    """Numbers for one reconstruction: powers [%] and overlaps of its modes, and how alike the two mixtures are."""
    modes, obj, error = in_the_frame_of_the_truth(p)
    true = orthogonal(p.data.truth["probe"].astype(complex))
    power, wanted = ((np.abs(a) ** 2).sum(axis=(1, 2)) for a in (modes, true))
    gram = np.abs(np.einsum("aij,bij->ab", modes.conj(), true))
    overlaps = [gram[k, k] / np.sqrt(power[k] * wanted[k]) for k in range(len(true))]
    alike = (gram**2).sum() / np.sqrt((power**2).sum() * (wanted**2).sum())
    return {
        "modes": modes,
        "obj": obj,
        "error": error,
        "powers": 100 * power / power.sum(),
        "true": 100 * wanted / wanted.sum(),
        "overlaps": overlaps,
        "alike": alike,
    }


def line(name, turns, p, found):
    powers, overlaps = (" ".join(f"{v:{f}}" for v in found[k]) for k, f in (("powers", "5.2f"), ("overlaps", ".4f")))
    return (
        f"{name:<16}{turns:>6}  {opty.misfit(p):9.2e} {found['error']:8.4f}  {found['alike']:.4f}  {overlaps}  {powers}"
    )


def reconstructed(data):
    """Three modes; seven; the three strongest of the seven from half-way on. Yields (name, turns, state).

    Where three have not found the truth, they are given three times as long.
    """
    three, seven = (opty.PtychoState(data, modes=m) for m in (3, 7))
    three = ENGINE**TURNS * three
    yield "3 modes", TURNS, three
    half = ENGINE ** (TURNS // 2) * seven
    yield "7 modes", TURNS, ENGINE ** (TURNS - TURNS // 2) * half
    strongest = half.replace(probe=orthogonal(half.numpy("probe"))[:3])
    yield "7, then best 3", TURNS, ENGINE ** (TURNS - TURNS // 2) * strongest
    if compared(three)["alike"] < 0.99:
        yield "3 modes", 3 * TURNS, ENGINE ** (2 * TURNS) * three


def figure_s1(data):
    """Fig. S1 of Guzzi et al. 2022: one diffraction pattern, and the modes that made it."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(9, 2.6), layout="constrained")
    axes = fig.subplots(1, 4)
    axes[0].imshow(np.log10(1 + data.intensities[20]), cmap="inferno")
    axes[0].set_title("one view, log10(1 + photons)", fontsize=9)
    power = (np.abs(data.truth["probe"]) ** 2).sum(axis=(1, 2))
    for ax, mode, share in zip(axes[1:], data.truth["probe"], power / power.sum(), strict=True):
        ax.imshow(opty.plot.phase_as_hue(middle(mode)))
        ax.set_title(f"{share:.1%} of the photons", fontsize=9)
    return bare(fig)


def figure_s3(data, found):
    """Fig. S2 of Guzzi et al. 2022 and S3: the object, and the modes of each reconstruction under the true ones."""
    from matplotlib.figure import Figure

    truth = {"modes": orthogonal(data.truth["probe"].astype(complex)), "obj": data.truth["obj"]}
    rows = {"truth": truth} | found
    fig = Figure(figsize=(12, 1.5 * len(rows)), layout="constrained")
    axes = fig.subplots(len(rows), 9)
    for (name, row), (first, second, *places) in zip(rows.items(), axes, strict=True):
        cut = tuple(slice(N // 2, size - N // 2) for size in row["obj"].shape)
        first.imshow(np.abs(row["obj"][cut]), cmap="gray", vmin=0.3, vmax=1)
        second.imshow(np.angle(row["obj"][cut]), cmap="gray", vmin=-1.2, vmax=1.2)
        first.set_ylabel(name, fontsize=8)
        power = (np.abs(row["modes"]) ** 2).sum(axis=(1, 2))
        for k, ax in enumerate(places):
            ax.set_visible(k < len(power))
            if k < len(power):
                ax.imshow(opty.plot.phase_as_hue(middle(row["modes"][k])))
                ax.set_title(f"{power[k] / power.sum():.1%}", fontsize=8)
    axes[0, 0].set_title("object, magnitude", fontsize=8)
    axes[0, 1].set_title("and phase", fontsize=8)
    return bare(fig)


def middle(mode):
    """The lit part of a mode, its mean phase taken off so that equal modes look alike."""
    cut = slice(int(0.3 * N), int(0.7 * N))
    return mode[cut, cut] * np.exp(-1j * np.angle(mode[N // 2 + N // 12, N // 2 + N // 24]))


for shape, terms in SHAPES.items():
    data = simulated(terms)
    print(f"\nsimulated: {shape} (Noll {terms}), {data.views} views of {N} x {N}, sample pixel {data.pixel:.3g} m")
    print(f"{'':<16}{'turns':>6}  {'misfit':>9} {'object':>8}  alike   overlaps of modes 1-3  powers [%]")
    found = {}
    for name, turns, p in reconstructed(data):
        numbers = found[f"{name}\n{turns} turns"] = compared(p)
        if len(found) == 1:
            true = " ".join(f"{v:5.2f}" for v in numbers["true"])
            print(f"{'truth':<16}{'':>6}  {0:9.2e} {0:8.4f}  {1:.4f}  {1:.4f} {1:.4f} {1:.4f}  {true}")
        print(line(name, turns, p, numbers), flush=True)
    same = [found[f"{m} modes\n{TURNS} turns"]["alike"] for m in (3, 7)]
    better, worse = ("seven", "three") if same[1] > same[0] else ("three", "seven")
    print(f"{better} modes found the truth better than {worse}: {max(same):.4f} alike against {min(same):.4f}")

save(figure_s1(data), "figure_s1")
save(figure_s3(data, found), "figure_s3")
main_number("seven modes against the three true ones, alike", same[1], above=sized(0.97, 0.99, 0.99))
