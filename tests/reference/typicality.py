"""TypiClust's choice for given clusters, one pick and one pair of rows at a time."""

import numpy as np


def neighbor_distances(embeddings, assignment, row, num_neighbors):
    """The distances of a row to its nearest other members, ascending, at most num_neighbors of them."""
    others = [j for j in range(len(assignment)) if assignment[j] == assignment[row] and j != row]
    difference = [np.asarray(embeddings[row], np.float64) - np.asarray(embeddings[j], np.float64) for j in others]
    return sorted(float(np.sqrt(np.sum(d**2))) for d in difference)[:num_neighbors]


def mean_neighbor_distance(embeddings, assignment, row, num_neighbors):
    """The mean distance of a row to its nearest other members; 0 for a row alone in its cluster."""
    nearest = neighbor_distances(embeddings, assignment, row, num_neighbors)
    return float(np.mean(nearest)) if nearest else 0.0


def cluster_turns(assignment, is_labeled, is_selectable, num_clusters, num_picks):
    """The fewest labels and picks first, then the most members, then the lowest cluster; exhausted ones passed over."""
    size = [int(np.sum(assignment == k)) for k in range(num_clusters)]
    covering = [int(np.sum(is_labeled & (assignment == k))) for k in range(num_clusters)]
    left = [int(np.sum(is_selectable & (assignment == k))) for k in range(num_clusters)]
    turns = []
    while len(turns) < num_picks and sum(left) > 0:
        open_ones = [k for k in range(num_clusters) if left[k] > 0]
        chosen = min(open_ones, key=lambda k: (covering[k], -size[k], k))
        covering[chosen] += 1
        left[chosen] -= 1
        turns.append(chosen)
    return turns


def candidates(embeddings, assignment, is_selectable, turns, num_neighbors, follow):
    """For each turn {row: mean distance} of what could be picked, given the picks that were made before it."""
    free, result = np.array(is_selectable, bool), []
    known = {}
    for cluster, pick in zip(turns, follow, strict=True):
        rows = [int(row) for row in np.flatnonzero(free & (assignment == cluster))]
        for row in rows:
            if row not in known:
                known[row] = mean_neighbor_distance(embeddings, assignment, row, num_neighbors)
        result.append({row: known[row] for row in rows})
        free[pick] = False
    return result
