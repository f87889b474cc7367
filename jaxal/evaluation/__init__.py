"""What a run achieved: metrics on the device, how balanced its labels are, and learning curves over seeds."""
