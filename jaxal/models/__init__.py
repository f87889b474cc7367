"""Networks as bundles of pure functions; the only package that knows Flax."""
