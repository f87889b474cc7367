"""Entropy and margin of softmax(l), in the log domain, so that saturated logits stay exact."""

import numpy as np


def log_sum_exp(values):
    """log(sum of exp(v)), shifted by the largest."""
    largest = max(values)
    return largest + np.log(sum(np.exp(value - largest) for value in values))


def log_softmax(logits):
    """log p_c = l_c - log(sum of exp(l)) for one sample."""
    logits = np.asarray(logits, np.float64)
    # The largest is subtracted first: l - (l + tiny) would lose the tiny part of a saturated sample.
    shifted = logits - logits.max()
    return shifted - log_sum_exp(list(shifted))


def softmax(logits):
    """p_c for one sample."""
    return np.exp(log_softmax(logits))


def entropy(logits):
    """-sum of p log p in nats, with 0 log 0 = 0."""
    result = []
    for row in logits:
        total = 0.0
        for log_p in log_softmax(row):
            p = np.exp(log_p)
            if p > 0:
                total -= p * log_p
        result.append(total)
    return np.array(result)


def margin(logits):
    """p1 - p2, the two largest probabilities."""
    result = []
    for row in logits:
        p = sorted(softmax(row), reverse=True)
        result.append(p[0] - p[1])
    return np.array(result)


def margin_log_odds(logits):
    """log(m) - log(1 - m), where 1 - m = 2 p2 + p3 + p4 + ... is a sum without cancellation."""
    result = []
    for row in logits:
        log_p = sorted(log_softmax(row), reverse=True)
        gap = np.sort(np.asarray(row, np.float64))[-1] - np.sort(np.asarray(row, np.float64))[-2]
        if gap == 0:
            result.append(-np.inf)
            continue
        log_margin = log_p[0] + np.log(-np.expm1(-gap))
        log_rest = log_sum_exp([np.log(2.0) + log_p[1], *log_p[2:]])
        result.append(log_margin - log_rest)
    return np.array(result)


def log_entropy(logits):
    """log H = log of the sum of p (-log p), in the log domain term by term; 1 - p_max is never a difference."""
    result = []
    for row in logits:
        order = np.argsort(-np.asarray(row, np.float64), kind="stable")
        below = np.asarray(row, np.float64)[order[1:]] - np.asarray(row, np.float64)[order[0]]
        log_rest = log_sum_exp(list(below))
        # -log p_max = log(1 + r), and log(1 + r) = r for an r that float64 cannot add to 1.
        log_partition = np.log1p(np.exp(log_rest))
        log_surprisal_of_top = log_rest if log_rest < -40 else np.log(log_partition)
        terms = [-log_partition + log_surprisal_of_top]
        for gap in -below:
            terms.append(-gap - log_partition + np.log(gap + log_partition))
        result.append(log_sum_exp(terms))
    return np.array(result)


def least_confidence(logits):
    """max p."""
    return np.array([max(softmax(row)) for row in logits])


def least_confidence_log_odds(logits):
    """log(max p) - log(1 - max p), where 1 - max p is the sum of the others."""
    result = []
    for row in logits:
        log_p = sorted(log_softmax(row), reverse=True)
        result.append(log_p[0] - log_sum_exp(log_p[1:]))
    return np.array(result)
