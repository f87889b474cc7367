"""Where the time goes: every strategy over a grid of pool sizes against what the machine can do, and one round."""
