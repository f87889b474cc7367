"""Every setting of jaxal as a frozen struct, read strictly from TOML; nothing here imports jax."""
