"""Random streams: pure functions of seed, parameters and purpose; and where they stand."""

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.parameters import ChainParameters, NetworkParameters, SquareParameters
from isingflow.seeding import generator, stream

CHAIN = ChainParameters(coupling=0.4, sites=64, steps=3, samples=20)
SQUARE = SquareParameters(coupling=0.4)


def draw(*arguments):
    return stream(*arguments).integers(2**63, size=4).tolist()


def test_streams_stand_where_they_stood():
    """To change these is to change every number of every study."""
    assert draw(1, CHAIN, "spins") == [
        5718695127947090545,
        7792818436802231335,
        7998359306569050108,
        2268561695761045974,
    ]
    assert generator(7).random() == np.random.default_rng(7).random()


def test_streams_differ_in_each_argument_and_not_in_order():
    wanted = [
        (1, CHAIN, "spins"),
        (2, CHAIN, "spins"),
        (1, SQUARE, "spins"),
        (1, ChainParameters(coupling=np.nextafter(0.4, 1), sites=64, steps=3, samples=20), "spins"),
        (1, CHAIN, "inputs"),
        (2**64 - 1, CHAIN, "spins"),
    ]
    first = [draw(*arguments) for arguments in wanted]
    assert len({tuple(numbers) for numbers in first}) == len(wanted)
    assert [draw(*arguments) for arguments in wanted[::-1]] == first[::-1]


def test_equal_numbers_of_other_types_are_the_same_stream():
    network = {"bias_variance": 0, "depth": 3, "width": 4}
    one = NetworkParameters(weight_variance=2, **network)
    other = NetworkParameters(weight_variance=np.float32(2), **network)
    assert draw(np.int64(1), one, "x") == draw(1, other, "x")


def test_generator_passes_one_through():
    rng = np.random.default_rng(1)
    assert generator(rng) is rng


@pytest.mark.parametrize("rng", [-1, 1.0, None, "1", True, np.random.RandomState(1)])
def test_no_generator(rng):
    with pytest.raises(ParameterError, match="rng must be a numpy Generator or a non-negative integer, got "):
        generator(rng)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, None, "1", True])
def test_no_seed(seed):
    with pytest.raises(ParameterError, match="seed must be"):
        stream(seed, CHAIN, "spins")
