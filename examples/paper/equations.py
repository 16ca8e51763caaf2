"""Equations 1 to 8 of the supplement of Guzzi et al. 2022: each as a line of NumPy, against what opty computes."""

import numpy as np
from paper import main_number

import opty
from opty import FourierProject, ObjUpdate, PosCorrectGain, ProbeUpdate, Sweep
from opty.simulate import misplaced_scan

wrong = []

# 1: delta_s = wavelength z_do / (W delta_d), with the numbers of Listing 1
geometry = opty.Geometry(4.892e-10, 0.8932 - 2.5e-3, 13.5e-6, focus_to_sample=2.5e-3, propagation="cone")
wrong.append(geometry.sample_pixel(1024) / (4.892e-10 * (0.8932 - 2.5e-3) / (1024 * 13.5e-6)) - 1)

data = misplaced_scan(near=True, seed=1)
some = slice(40, 52)
few = opty.PtychoData(data.intensities[some], data.positions[some], data.geometry, probe=data.probe)
p = opty.PtychoState(few, dtype="complex128")

# 2: G_p = d / delta_s
extent = np.ptp(few.positions, axis=0).max()
wrong.append(opty.analysis.resolution_gain(p) / (extent / few.pixel) - 1)

# 3: E = sum_j ||o_j - o'_j||^2, o'_j the window of view j after its update
engine = Sweep(ProbeUpdate() * ObjUpdate() * FourierProject(), order="scan")
one = Sweep(ObjUpdate() * FourierProject(), order="scan")
start, total = p.replace(positions=np.rint(p.positions)), 0.0
q = PosCorrectGain(gain=1e-9) * one * start
places = np.rint(start.positions).astype(int)
obj = start.obj.copy()
for j, (r, c) in enumerate(places):
    window = np.s_[r : r + few.n, c : c + few.n]
    alone = start.replace(obj=obj)
    view = opty.PtychoData(few.intensities[j : j + 1], places[j : j + 1] * few.pixel, few.geometry, probe=few.probe)
    new = one * opty.PtychoState(view, probe=start.probe, obj=obj, dtype="complex128")
    total += (abs(new.obj[window] - obj[window]) ** 2).sum()
    obj = new.obj.copy()
wrong.append(q.history["object_change"][-1] / total - 1)

# 7, 8: x' = x + eta argmax XCORR, less what all views have in common; 4: eps_pos is the mean length of the shifts
moved = {eta: PosCorrectGain(gain=eta) * engine * p for eta in (1.0, 2.5)}
step = {eta: q.positions - p.positions for eta, q in moved.items()}
wrong.append(abs(step[2.5] - 2.5 * step[1.0]).max() / abs(step[1.0]).max())
signal = moved[1.0].history["position_signal"][-1]
eps_pos = np.linalg.norm(step[1.0], axis=1).mean()
assert moved[2.5].history["position_signal"][-1] == signal
assert abs(signal / eps_pos - 1) < 0.02, "but for the common part, which the steps lack"

# 5, 6: eps_g = 1 / J sum_j ||f_j - g_j||, the mean offset taken off
f, g = data.truth["positions"], data.positions_px
d = f - g - (f - g).mean(axis=0)
wrong.append(opty.analysis.position_error(g, f) / np.sqrt((d**2).sum(axis=1)).mean() - 1)

print("relative differences of Eqs. 1, 2, 3, 7 and 8, 6:", np.array(wrong).tolist())
main_number("largest difference, relative", abs(np.array(wrong)).max(), below=1e-6)
