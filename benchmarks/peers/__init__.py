"""Scripts that run inside the environments of other packages; ``benchmarks/interop.py`` starts them.

with_ptylab.py, with_cdtools.py, with_ptychi.py, with_ptychodus.py, with_tike.py

Each is called as ``python with_X.py TASK FOLDER`` and knows nothing of opty. TASK "read": read the file that opty
wrote, scan.*, and write found.npz (``counts`` (N, n, n), ``positions`` (N, 2), ``lengths``; ``predicted`` (N, n, n),
what the package's own forward model makes of the true object and probe; ``before`` and ``after``, the error of the
package's own engine). TASK "write": write theirs.* with the package's own code, and told.npz, what is in it.
truth.npz holds ``obj`` (H, W), ``probe`` (M, n, n), ``corners`` (N, 2) px, ``positions`` (N, 2) m, ``counts``,
``lengths`` (wavelength, distance, detector pixel) m, ``pixel`` at the sample m.
"""
