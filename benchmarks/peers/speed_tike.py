"""tike's engines, on a GPU only: rpie, lstsq_grad, dm."""

import numpy as np
import tike_libraries  # noqa: F401

# isort: split
import cupy
import tike.ptycho
from turns import batch, diff, engine, pos, probe0, serve

MAKE = {
    "rpie": tike.ptycho.RpieOptions,
    "lstsq_grad": tike.ptycho.LstsqOptions,
    "dm": tike.ptycho.DmOptions,
}
probe = probe0[None, None].astype("complex64")  # of all views, no eigenprobes, modes, rows, columns
psi, moved = tike.ptycho.object.get_padded_object(pos.astype("float32"), probe)
parameters = tike.ptycho.PtychoParameters(
    psi=np.ones_like(psi)[None],
    probe=probe,
    scan=moved,
    probe_options=tike.ptycho.ProbeOptions(),
    object_options=tike.ptycho.ObjectOptions(),
    algorithm_options=MAKE[engine](num_batch=max(1, len(pos) // batch)),
)
with tike.ptycho.Reconstruction(np.fft.ifftshift(diff, axes=(1, 2)), parameters) as whole:

    def iterate(count):
        whole.iterate(count)
        return np.mean(whole.parameters.algorithm_options.costs[-1])

    serve(iterate, cupy.cuda.Device().synchronize)
