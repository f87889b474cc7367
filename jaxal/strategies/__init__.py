"""How to choose: one strategy per file, each a NamedTuple of pure functions over the kernels."""
