"""Import this before a package that imports torchvision.

PyPI's torchvision is built for CUDA; beside PyTorch's CPU build its compiled operators are missing, and registering
what it expects of them is enough for what pty-chi and PtyRAD use of it, which is plain Python.
"""

import torch

if torch.version.cuda is None:
    operators = torch.library.Library("torchvision", "DEF")
    for missing in ("nms", "qnms"):
        operators.define(f"{missing}(Tensor dets, Tensor scores, float threshold) -> Tensor")
