"""A tensor that behaves at the borders as PyTorch's does: DLPack alone, no gradients and no other device through it."""

import numpy as np


class Tensor:
    def __init__(self, array, requires_grad=False, device="cpu"):
        self.array, self.requires_grad, self.device = array, requires_grad, device

    def detach(self):
        return Tensor(self.array, False, self.device)

    def cpu(self):
        return Tensor(self.array, self.requires_grad, "cpu")

    @property
    def T(self):
        return Tensor(self.array.T, self.requires_grad, self.device)

    def __dlpack_device__(self):
        return (1, 0) if self.device == "cpu" else (2, 0)

    def __dlpack__(self, **keywords):
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if self.device != "cpu":
            raise RuntimeError("no such device here")
        return self.array.__dlpack__(**keywords)

    def __array__(self, *arguments, **keywords):
        raise TypeError("a tensor that requires gradients, or of bfloat16, is no NumPy array")

    def __getitem__(self, rows):
        return Tensor(self.array[np.asarray(rows.array)], self.requires_grad, self.device)
