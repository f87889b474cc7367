import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import gradient_embeddings as reference
from scipy.stats import chisquare

from jaxal.kernels.distance_sampling import Arrivals, draw_block, sample_by_distance
from jaxal.kernels.distances import embedding_geometry, embedding_points, squared_distances

from .content import rows

NUM_ROWS, DIM, NUM_PICKS = 7, 3, 3


def draw(num_arrivals, picks_per_pass, embeddings, keys, num_picks=NUM_PICKS, is_selectable=None):
    """Picks [S, Q] and their squared distances after row 0, which is a center already, for each of S keys."""
    num_rows = len(embeddings)
    is_selectable = jnp.arange(num_rows) > 0 if is_selectable is None else is_selectable
    middle = jnp.mean(embeddings, axis=0)
    geometry, points = embedding_geometry(middle), embedding_points(embeddings, middle)
    nearest = squared_distances(embeddings, embeddings[0])
    ids = jnp.arange(num_rows, dtype=jnp.int32)

    def one(key):
        return sample_by_distance(
            key, geometry, points, nearest, ids, is_selectable, jnp.int32(num_picks), num_picks,
            block_size=num_rows, num_arrivals=num_arrivals, picks_per_pass=picks_per_pass,
        )  # fmt: skip

    return jax.device_get(jax.jit(lambda keys: jax.lax.map(one, keys))(keys))


@pytest.mark.parametrize(("num_arrivals", "picks_per_pass"), [(1, 1), (2, 2), (3, 2), (7, 3)])
def test_the_law_is_that_of_drawing_one_by_one(num_arrivals, picks_per_pass):
    # Two near pairs, so that many arrivals are rejected once one of a pair is picked.
    rng = np.random.default_rng(5)
    embeddings = rng.normal(size=(NUM_ROWS, DIM)).astype(np.float32)
    embeddings[1] = 0.6 * embeddings[2]
    embeddings[3] = embeddings[4] + 0.5
    embeddings[0] = 3  # the enumeration opens with the longest vector
    law = {outcome[1:]: p for outcome, p in reference.law(embeddings.astype(np.float64), NUM_PICKS + 1).items()}
    assert len(law) == 6 * 5 * 4
    keys = jax.vmap(jax.random.key)(jnp.arange(20_000))
    picks, _ = draw(num_arrivals, picks_per_pass, jnp.asarray(embeddings), keys)
    drawn = dict.fromkeys(law, 0)
    for outcome in map(tuple, picks.tolist()):
        drawn[outcome] += 1
    expected = np.array([20_000 * law[outcome] for outcome in drawn])
    frequent = expected > 5
    assert frequent.sum() > 60
    observed = np.array(list(drawn.values()))
    pooled = [[*counts[frequent], counts[~frequent].sum()] for counts in (observed, expected)]
    assert chisquare(*pooled).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["normal", "clustered", "duplicates"])
def test_each_distance_is_that_to_the_picks_before_and_nothing_of_weight_zero_is_drawn(kind):
    rng = np.random.default_rng(2)
    embeddings = rows(rng, kind, 300, 4) if kind != "duplicates" else rows(rng, "normal", 9, 4)[rng.integers(0, 9, 300)]
    picks, squared = draw(16, 8, jnp.asarray(embeddings), jax.random.split(jax.random.key(1), 3), num_picks=40)
    vectors = embeddings.astype(np.float64)
    for chosen, distances in zip(picks, squared, strict=True):
        real = chosen[chosen < 300]
        assert np.all(chosen[len(real) :] == 300)
        assert len(set(real.tolist())) == len(real) == (8 if kind == "duplicates" else 40)
        for place, row in enumerate(real):
            before = vectors[[0, *real[:place]]]
            np.testing.assert_allclose(distances[place], reference.squared_distances(vectors[[row]], before)[0], 1e-5)
            assert distances[place] > 0


def test_what_a_rejected_row_draws_again_does_not_hang_on_who_came_before_it():
    # Rows 1 and 2 lie beside row 0, which comes first, so that both are rejected; they come at nearly the same time.
    points = jnp.asarray([[4, 0], [4, 0.01], [4, -0.01], [0, 4]], jnp.float32)
    squared = jnp.sum(jnp.square(points), axis=1)
    earlier, later = np.nextafter(np.float32([1, 1]), np.float32([2, 0]))

    @jax.jit
    def draw_with(first):
        middle, places = jnp.zeros(2), jnp.arange(4, dtype=jnp.int32)
        return draw_block(
            jax.random.key(3), embedding_geometry(middle), embedding_points(points, middle), places, squared,
            Arrivals(places, first, jnp.log(squared)), jnp.int32(2), 2, num_arrivals=8,
        )  # fmt: skip

    one, other = (draw_with(jnp.asarray([9, *pair, -20], jnp.float32)) for pair in ((earlier, later), (later, earlier)))
    assert np.all(one.num_again[1:3] > 1)
    for name in ("uniform", "num_again", "picks"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.arrival, other.arrival, rtol=1e-5)
