import jax.numpy as jnp
import numpy as np
import pytest
from reference import alfa_mixing, scalar_mixing
from reference.mixing_anchors import mixing_anchors

from jaxal.config.strategies import ALFAMixConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.alfa_mix import alfa_mix

from .content_pools import LABELINGS, content_pool
from .pools import C, D, N, Q, acquire, make_inputs, picks, pool_of

MIXING, EMPTY_CLUSTER, RANDOM = range(3)
CLOSED_FORM, FINER, FIXED = ALFAMixConfig(), ALFAMixConfig(cap_step=0.05), ALFAMixConfig(alpha="fixed")


def arrays_of(config, inputs, missing_anchor="global_mean"):
    """What the references take: embeddings, the head (for the closed form the logits in place of the bias), anchors."""
    embeddings, labels, logits = (np.asarray(array) for array in (inputs.embeddings, inputs.pool.labels, inputs.logits))
    weight, bias = (np.asarray(part) for part in inputs.head)
    anchors = mixing_anchors(embeddings, labels, logits.shape[1], missing_anchor)
    return (embeddings, weight, bias, *anchors) if config.alpha == "fixed" else (embeddings, logits, weight, *anchors)


def candidates_of(config, inputs, num_wanted):
    """Which free rows are candidates."""
    is_free, arrays = np.asarray(inputs.pool.labels) == UNLABELED, arrays_of(config, inputs)
    if config.alpha == "fixed":
        return is_free & scalar_mixing.flips_at(config.fixed_alpha, *arrays)
    return alfa_mixing.candidates(is_free, num_wanted, config.cap_step, *arrays)[0]


def scores_of(config, inputs, rows):
    """The smallest cap that flips each of the rows; or the smallest scalar, on a grid of 1/500."""
    embeddings, *others = arrays = arrays_of(config, inputs)
    if config.alpha == "fixed":
        return scalar_mixing.smallest_flipping_alpha(embeddings[rows], *others, np.linspace(0, 1, 501))
    return alfa_mixing.flipping_cap(*arrays, rows=rows)


def check_choice(config, inputs, seed=0, query_size=Q):
    """Candidates first, by score, then chance; returns (candidates, picks that are no candidate)."""
    strategy = alfa_mix(config, num_classes=inputs.logits.shape[1])
    query, _, info = acquire(strategy, inputs, seed=seed, query_size=query_size)
    chosen = picks(query)
    num_picks = len(chosen)
    is_candidate = candidates_of(config, inputs, num_picks)
    num_mixed = min(num_picks, int(is_candidate.sum()))
    assert np.all(is_candidate[chosen[:num_mixed]])
    assert not np.any(is_candidate[chosen[num_mixed:]])
    assert len(set(chosen.tolist())) == num_picks
    reasons = info.reason[:num_picks]
    np.testing.assert_array_equal(reasons == RANDOM, np.arange(num_picks) >= num_mixed)
    assert np.all(np.isnan(info.score[num_mixed:]))
    assert info.num_fallback == np.sum(reasons != MIXING)
    atol = 2.001e-3 if config.alpha == "fixed" else 0
    score = scores_of(config, inputs, chosen[:num_mixed])
    np.testing.assert_allclose(info.score[:num_mixed], score, rtol=1e-5, atol=atol)
    assert np.all(np.diff(info.score[:num_mixed][reasons[:num_mixed] == MIXING]) >= 0)
    return is_candidate, num_picks - num_mixed


@pytest.mark.parametrize("config", [CLOSED_FORM, pytest.param(FINER, marks=pytest.mark.slow), FIXED])
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels", "one class labeled"])
@pytest.mark.parametrize("weight_scale", [1.0, 1e4])
def test_picks_are_candidates_by_score(config, labels, weight_scale):
    num_candidates = []
    for seed in range(4):
        inputs = make_inputs(seed, labels, labels_left=4, weight_scale=weight_scale, is_exact=False)
        num_candidates.append(int(check_choice(config, inputs, seed)[0].sum()))
    num_free = np.sum(np.asarray(inputs.pool.labels) == UNLABELED)
    assert any(4 < each < num_free for each in num_candidates), "some rows flip, some do not, and there is a choice"


@pytest.mark.slow
@pytest.mark.parametrize("config", [CLOSED_FORM, FIXED], ids=["closed_form", "fixed"])
@pytest.mark.parametrize(
    ("num_rows", "dim", "num_classes", "query_size"), [(1, 3, 2, 1), (31, 5, 10, 9), (1500, 6, 3, 40)]
)
def test_on_unseen_pools_picks_are_candidates(config, num_rows, dim, num_classes, query_size):
    for seed, labeling in enumerate(LABELINGS if num_rows < 1500 else LABELINGS[:1]):
        for kind in ("normal", "clustered", "offset") if num_rows < 1500 else ("normal",):
            check_choice(
                config, content_pool(seed, kind, labeling, num_rows, dim, num_classes, query_size), seed, query_size
            )


def test_a_smaller_step_of_the_cap_lets_fewer_in():
    inputs = make_inputs(2, labels_left=2, is_exact=False)
    finer, coarser = (check_choice(config, inputs)[0] for config in (FINER, CLOSED_FORM))
    assert 2 < finer.sum() < coarser.sum()


def biased(inputs, bias):
    """A bias of one class over all others lets few predictions flip."""
    favored = inputs.head.bias.at[0].add(jnp.asarray(bias, jnp.float32))
    return inputs._replace(
        head=inputs.head._replace(bias=favored), logits=inputs.logits + (favored - inputs.head.bias)[None]
    )


@pytest.mark.parametrize(("config", "bias"), [(CLOSED_FORM, 11.0), (FIXED, 5.0)], ids=["closed_form", "fixed"])
def test_too_few_candidates_are_all_taken_and_chance_fills_the_rest_without_replacement(config, bias):
    inputs = biased(make_inputs(1, is_exact=False), bias)
    filled = set()
    for seed in range(8):
        is_candidate, num_filled = check_choice(config, inputs, seed)
        assert 0 < is_candidate.sum() < Q
        assert num_filled == Q - is_candidate.sum()
        query, _, _ = acquire(alfa_mix(config, num_classes=C), inputs, seed=seed)
        filled |= set(query.indices[-num_filled:].tolist())
    assert len(filled) > num_filled, "another seed draws others"


@pytest.mark.parametrize("config", [CLOSED_FORM, FIXED], ids=["closed_form", "fixed"])
def test_with_nothing_labeled_all_is_by_chance(config):
    inputs = make_inputs(2, "nothing labeled", is_exact=False)
    is_candidate, num_filled = check_choice(config, inputs)
    assert not is_candidate.any()
    assert num_filled == Q


def pool_in_directions(num_directions):
    """Unlabeled samples along a few directions at distances of 1 to 40; all flip easily."""
    inputs = make_inputs(5, is_exact=False)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    place = np.cumsum(is_free) % num_directions
    rng = np.random.default_rng(6)
    directions = np.linalg.qr(rng.normal(size=(D, D)))[0][:num_directions]
    embeddings = np.asarray(inputs.embeddings, np.float64).copy()
    spread = directions[place] + 0.02 * rng.normal(size=(N, D))
    embeddings[is_free] = (np.geomspace(1, 40, N)[:, None] * spread)[is_free]
    # Every sample is nearly a tie of its two best classes, so a small mix flips it.
    logits = 1e-3 * np.sort(rng.random((N, C)), axis=1)
    weight = rng.normal(size=(D, C))
    return inputs._replace(
        embeddings=jnp.asarray(embeddings.astype(np.float32)),
        logits=jnp.asarray(logits.astype(np.float32)),
        head=inputs.head._replace(weight=jnp.asarray(weight.astype(np.float32))),
        labels_left=jnp.asarray(num_directions, jnp.int32),
    ), place


def test_clusters_are_of_directions_and_the_member_nearest_each_center_is_picked():
    num_directions = 5  # three samples or four on each
    inputs, place = pool_in_directions(num_directions)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    query, _, info = acquire(alfa_mix(CLOSED_FORM, num_classes=C), inputs)
    embeddings = np.asarray(inputs.embeddings, np.float64)
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    nearest = set()
    for each in range(num_directions):
        members = np.flatnonzero((place == each) & is_free)
        center = directions[members].mean(axis=0)
        nearest.add(members[np.argmin(np.linalg.norm(directions[members] - center, axis=1))])
    assert set(picks(query).tolist()) == nearest
    np.testing.assert_array_equal(info.reason, MIXING)


@pytest.mark.parametrize("config", [CLOSED_FORM, FIXED], ids=["closed_form", "fixed"])
def test_candidates_that_coincide_go_by_row(config):
    """Two kinds of unlabeled samples: two clusters hold all, the rest of the query goes by score, ties by row."""
    labels = np.full(N, UNLABELED)
    labels[:8] = [0, 0, 1, 1, 2, 2, 3, 3]
    inputs = make_inputs(3, is_exact=True)
    kind = np.arange(N) % 2
    both = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]], np.float32)
    embeddings = np.where((labels == UNLABELED)[:, None], both[kind], np.asarray(inputs.embeddings))
    lead = np.where(kind == 0, 2, 1)[:, None] * np.array([[4, 3, 3, 3]]) / 1024
    weight = np.float32([[0, 1, 2, 0], [0, 1, 2, 0], [2, -1, 0, 0], [0, -2, 0, 0], [0, 2, 0, 0]])
    inputs = inputs._replace(
        pool=pool_of(labels),
        embeddings=jnp.asarray(embeddings),
        logits=jnp.asarray(lead.astype(np.float32)),
        head=inputs.head._replace(weight=jnp.asarray(weight), bias=jnp.zeros(C, jnp.float32)),
    )
    query, _, info = acquire(alfa_mix(config, num_classes=C), inputs)
    first, second = (9, 8) if info.score[0] < info.score[1] and query.indices[0] == 9 else (8, 9)
    assert query.indices.tolist() == [first, second, *range(first + 2, first + 10, 2)]
    np.testing.assert_array_equal(info.reason, [MIXING] * 2 + [EMPTY_CLUSTER] * 4)
    assert info.num_fallback == 4
    np.testing.assert_array_equal(info.score[2:], info.score[0])


def test_the_same_seed_asks_the_same():
    inputs = make_inputs(6, weight_scale=0.1, is_exact=False)
    chosen = [acquire(alfa_mix(CLOSED_FORM, num_classes=C), inputs, seed=seed)[0].indices for seed in (1, 1, 2, 3, 4)]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert any(not np.array_equal(chosen[0], other) for other in chosen[2:]), "k-means starts elsewhere"
