"""Pure array mathematics of acquisition: each kernel takes plain arrays and returns plain arrays."""
