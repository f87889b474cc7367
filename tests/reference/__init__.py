"""What the kernels compute, as plain float64 NumPy loops written from the papers' equations.

Nothing here imports jaxal: an error would have to be made twice, in two different ways, to go unseen.
"""
