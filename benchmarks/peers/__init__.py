"""Scripts that run inside the environments of other packages, and know nothing of opty.

with_X.py               interop.py starts them: who reads whose files
read_detectors.py       detectors.py starts it: what a package finds in files of detectors
speed_X.py              peer_speed.py starts them: iterations, by turns; turns.py is what they share
thick_X.py              thick_peers.py starts them: several slices in equal CPU time; thick.py is what they share
torchvision_alone.py,
tike_libraries.py       what must be imported before some of the packages

Each with_X.py is called as ``python with_X.py TASK FOLDER``. TASK "read": read the file that opty
wrote, scan.*, and write found.npz (``counts`` (N, n, n), ``positions`` (N, 2), ``lengths``; ``predicted`` (N, n, n),
what the package's own forward model makes of the true object and probe; ``before`` and ``after``, the error of the
package's own engine). TASK "write": write theirs.* with the package's own code, and told.npz, what is in it.
truth.npz holds ``obj`` (H, W), ``probe`` (M, n, n), ``corners`` (N, 2) px, ``positions`` (N, 2) m, ``counts``,
``lengths`` (wavelength, distance, detector pixel) m, ``pixel`` at the sample m.
"""
