"""Where images come from, how they are split, how a pool is made imbalanced."""
