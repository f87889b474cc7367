"""How a model learns from the labeled set, and how it reads images."""
