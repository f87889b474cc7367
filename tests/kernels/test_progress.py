import jax
import jax.numpy as jnp
import numpy as np

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.k_center import k_center
from jaxal.kernels.progress import current_listener, progress_to


def choose(z):
    nobody = jnp.zeros(len(z), bool)
    return k_center(z, nobody, ~nobody, jnp.arange(len(z), 0, -1.0), jnp.int32(7), 7, picks_per_pass=2)


def test_a_listener_hears_how_far_a_computation_has_come():
    heard = []
    z = jnp.asarray(np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32))
    silent = choose(z)
    with progress_to(lambda *words: heard.append(words)):
        told = jax.jit(choose)(z)
    jax.effects_barrier()
    np.testing.assert_array_equal(told[0], silent[0])
    picks = [words for words in heard if words[0] == "picks"]
    assert sorted(done for _, done, _ in picks) == [3, 5, 7]
    assert {wanted for _, _, wanted in picks} == {7}


def test_blocks_of_a_pass_are_told():
    heard = []
    with progress_to(lambda *words: heard.append(words)):
        jax.block_until_ready(map_row_blocks(lambda block: 2 * block, (jnp.arange(10.0),), 3))
    jax.effects_barrier()
    assert sorted(heard) == [("blocks of a pass", done, 4) for done in range(4)]


def test_without_a_listener_nothing_is_added():
    z = jnp.zeros((30, 2))
    assert current_listener() is None
    with progress_to(print):
        assert "debug_callback" in str(jax.make_jaxpr(lambda z: choose(z))(z))
        with progress_to(None):
            assert "callback" not in str(jax.make_jaxpr(lambda z: choose(z))(z))
