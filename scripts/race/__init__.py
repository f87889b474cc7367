"""Races of jaxal's kernels and strategies against other libraries and the loops one would write by hand.

`pools` makes the data, `contestants` says what a contestant and a task are, one module for each task's contestants,
`checks` refuse wrong answers, `racing` measures, `rows` compares, `output` writes.
"""
