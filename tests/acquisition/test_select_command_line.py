"""Words of `jaxal select` that are not understood (2), or ask for what cannot be done (1)."""

import os
from pathlib import Path

import pytest
from select_files import refused, words

from jaxal.cli import main


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (words("entropie"), "strategy: unknown kind 'entropie' (did you mean entropy?); known are alfa_mix, "),
        (
            words("balanced(balanced(entropy))"),
            "strategy: unknown kind 'balanced(balanced(entropy))' (a name is NAME or ",
        ),
        (words("mpps", "--strategy.normalise", "l2"), "strategy: unknown key normalise (did you mean normalize?)"),
        (words("mpps", "--strategy.normalize", "l1"), "strategy: Invalid enum value 'l1' - at `$.normalize`"),
        (
            words("cb_dal", "--strategy.auto_fm.alpha_int", "half"),
            "strategy: unknown key auto_fm.alpha_int (did you mean alpha_init?)",
        ),
        (words("mpps", "--strategy.normalize"), "--strategy.normalize: a value is missing behind it"),
        (words("mpps", "--strateg.normalize", "l2"), "unknown flag --strateg.normalize (did you mean --strategy?)"),
        (words("mpps", "--bugdet", "3"), "unknown flag --bugdet (did you mean --budget?)"),
        (
            words("mpps", "--zzz", "3"),
            "unknown flag --zzz (known are --budget, --devices, --head, --labels, --memory, --out, --seed, --strategy,"
            " --stream)",
        ),
        (words("3"), "strategy: expected a name, a table (dict) or a strategy's config, got int"),
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2(pool, capsys, given, message):
    assert refused(capsys, given, 2).startswith(message)


@pytest.mark.parametrize(
    "given",
    [
        ["select"],
        ["select", "pool.npz"],
        ["select", "pool.npz", "--strategy", "random"],
        ["select", "pool.npz", "--budget", "3"],
        ["select", "--strategy", "random", "--budget", "3"],
        words("random", budget="many"),
        words("random", budget="2.5"),
        words("random", "--seed", "one"),
        words("random", "other.npz"),
        words("random", "--memory", "1GB"),
    ],
)
def test_what_is_no_command_ends_with_2_and_says_why(pool, capsys, given):
    assert main(given) == 2
    captured = capsys.readouterr()
    assert captured.out + captured.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (words("random", budget=0), "budget: expected a whole number, 1 or more, got 0"),
        (words("random", budget=-3), "budget: expected a whole number, 1 or more, got -3"),
        (words("random", "--seed", "-1"), "seed: expected a whole number, 0 … 4294967295, got -1"),
        (words("random", "--memory", "0"), "memory: expected a whole number, 1 or more, got 0"),
        (words("random", "--devices", "0"), "devices: expected a whole number, 1 or more, got 0"),
        (words("random", "--devices", "4097"), "devices: 4097 asked for, but this process has 1 (cpu)"),
        (words("random", "--out", "."), "out: . is there and no file"),
        (words("random", "--out", "pool.npz"), "out: pool.npz is the pool itself"),
        (words("random", "--out", "pool.npz/query.csv"), "cannot write "),
        (
            ["select", "absent.npz", "--strategy", "random", "--budget", "3"],
            "absent.npz: cannot read the pool: no such file",
        ),
        (["select", ".", "--strategy", "random", "--budget", "3"], ".: no embeddings.json in it"),
    ],
)
def test_what_is_understood_but_cannot_be_done_ends_with_1(pool, capsys, given, message):
    before = Path(pool).read_bytes()
    assert refused(capsys, given, 1).startswith(message)
    assert Path(pool).read_bytes() == before
    assert os.listdir() == ["pool.npz"]


def test_links_in_a_circle_lead_nowhere(pool, capsys):
    os.symlink("query.csv", "query.csv")
    assert refused(capsys, words("random", "--out", "query.csv"), 1).startswith("out: query.csv leads nowhere: ")
    assert os.path.islink("query.csv")
