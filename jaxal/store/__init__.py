"""The run folder: checkpoints, journal, lock, signals. It knows pytrees and files, not experiments."""
