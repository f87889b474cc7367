"""k-means++ and Lloyd's algorithm, one member and one center at a time."""

import numpy as np


def squared_distance(row, center):
    return float(np.sum((np.asarray(row, np.float64) - np.asarray(center, np.float64)) ** 2))


def seed_rows(embeddings, is_member, noise, num_clusters):
    """Rows drawn by D^2, from given Gumbel noise [K N]: argmax over members of log D^2 + noise; D^2 = 1 at first."""
    members = [i for i in range(len(embeddings)) if is_member[i]]
    seeds = []
    for step in range(min(num_clusters, len(members))):
        best, best_value = None, -np.inf
        for i in members:
            weight = min((squared_distance(embeddings[i], embeddings[j]) for j in seeds), default=1.0)
            if weight > 0 and np.log(weight) + noise[step][i] > best_value:
                best, best_value = i, np.log(weight) + noise[step][i]
        if best is None:
            break
        seeds.append(best)
    return seeds


def nearest_center(row, centers):
    """The index and the squared distance of the nearest center, ties to the lowest."""
    distances = [squared_distance(row, center) for center in centers]
    return int(np.argmin(distances)), min(distances)


def lloyd(embeddings, is_member, centers, num_iterations):
    """Assign every member to its nearest center, move the centers to the means, until nothing changes.

    A center that loses all its members takes the member farthest from its own center. Returns (centers, assignment),
    the latter -1 for rows that are no member.
    """
    embeddings = np.asarray(embeddings, np.float64)
    centers = np.array(centers, np.float64)
    members = [i for i in range(len(embeddings)) if is_member[i]]
    assignment = np.full(len(embeddings), -1)
    for _ in range(num_iterations):
        before = assignment.copy()
        own = {}
        for i in members:
            assignment[i], own[i] = nearest_center(embeddings[i], centers)
        for k in range(len(centers)):
            if not np.any(assignment == k):
                shared = [i for i in members if np.sum(assignment == assignment[i]) > 1]
                farthest = max(shared, key=lambda i: own[i])
                assignment[farthest], own[farthest] = k, 0.0
        for k in range(len(centers)):
            centers[k] = np.mean(embeddings[assignment == k], axis=0)
        if np.array_equal(before, assignment):
            break
    return centers, assignment


def nearest_members(embeddings, assignment, centers):
    """For each center the squared distances {row: value} of its members."""
    result = []
    for k in range(len(centers)):
        rows = [i for i in range(len(embeddings)) if assignment[i] == k]
        result.append({i: squared_distance(embeddings[i], centers[k]) for i in rows})
    return result
