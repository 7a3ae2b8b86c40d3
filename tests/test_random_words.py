"""Random words: xoshiro256+ and exact probabilities against whole numbers, on vectors with and without AVX-512.

False alarms: one comparison at 5 sigma.
"""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import njit

from isingflow.ising import _random, _words

ALL = 2**64 - 1


class Xoshiro:
    """One lane, as its authors write it."""

    def __init__(self, words):
        self.s = [int(word) for word in words]

    def __call__(self):
        s = self.s
        result = (s[0] + s[3]) & ALL
        t = (s[1] << 17) & ALL
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & ALL
        return result


def below(lanes, bound_of):
    """Words whose bit j in lane i is set where a number read off the generator is below bound_of(i, j)."""
    drawn = [[lane() for lane in lanes] for _ in range(_random.DRAWN)]
    digits = drawn[::-1]  # the first word is the least significant digit of those that are always drawn
    while True:
        numbers, places = {}, len(digits)
        for i in range(8):
            for j in range(64):
                numbers[i, j] = int("".join(str(word[i] >> j & 1) for word in digits), 2)
        tied = [key for key, number in numbers.items() if number == bound_of(*key) >> (64 - places)]
        if not tied or places == 64:
            break
        digits.append([lane() for lane in lanes])
    return [sum((numbers[i, j] < bound_of(i, j) >> (64 - places)) << j for j in range(64)) for i in range(8)], places


def state_and_lanes(seed):
    state = _random.generator_state(np.random.default_rng(seed))
    return state, [Xoshiro(state[:, lane]) for lane in range(8)]


def test_generator():
    state, lanes = state_and_lanes(1)
    out = np.empty(80, np.uint64)
    _random.fill(state, out)
    assert out.tolist() == [lane() for _ in range(10) for lane in lanes]
    np.testing.assert_array_equal(state, np.array([lane.s for lane in lanes], np.uint64).T)


@pytest.mark.parametrize("probability", [0.3, 0.5, 1 - 2.0**-30, 2.0**-40, 0.0, 1.0, 0.586, 2.0**-12, 3 * 2.0**-64])
def test_bits_below_a_bound(probability):
    state, lanes = state_and_lanes(2)
    out = np.empty(512, np.uint64)
    bound = int(min(probability, 1 - 2**-53) * 2**64)
    _random.fill_below(state, _random.bounds([probability])[0], out)
    places = []
    for block in out.reshape(64, 8):
        expected, used = below(lanes, lambda i, j: bound)
        assert block.tolist() == expected
        places.append(used)
    assert max(places) > _random.DRAWN  # ties were broken
    np.testing.assert_array_equal(state[0], [lane.s[0] for lane in lanes])


@njit
def chosen_of_three(state, bound, lanes, out):
    """Eight words of `below`, with bounds chosen by the words of uint64 `lanes` (3, 8)."""
    digits = (_words.load_eight(lanes, 0), _words.load_eight(lanes, 8))
    words, vectors = _random.below(_random.load_state(state), bound, digits)
    _words.store_eight(out, 0, words)
    _random.store_state(state, vectors)


@njit
def chosen_of_five(state, bound, lanes, out):
    digits = (_words.load_eight(lanes, 0), _words.load_eight(lanes, 8), _words.load_eight(lanes, 16))
    words, vectors = _random.below(_random.load_state(state), bound, digits)
    _words.store_eight(out, 0, words)
    _random.store_state(state, vectors)


@pytest.mark.parametrize("kind", [3, 5])
def test_bounds_chosen_by_lane(kind):
    probabilities = [0.1, 0.35, 0.5, 0.8, 0.97][:kind]
    numbers = np.random.default_rng(5).integers(0, kind, (8, 64))
    lanes = np.array(
        [[sum((int(n) >> digit & 1) << j for j, n in enumerate(row)) for row in numbers] for digit in range(3)],
        np.uint64,
    )
    state, twins = state_and_lanes(3)
    out = np.empty(8, np.uint64)
    for _ in range(20):
        {3: chosen_of_three, 5: chosen_of_five}[kind](state, _random.bounds(probabilities), lanes, out)
        expected, _ = below(twins, lambda i, j: int(probabilities[numbers[i, j]] * 2**64))
        assert out.tolist() == expected


def test_bounds_are_exact():
    bounds = _random.bounds([0.3, 1.0, 0.0])
    assert set(np.unique(bounds)) == {0, ALL}
    whole = [sum(int(bit & 1) << (63 - k) for k, bit in enumerate(column)) for column in np.array(bounds).tolist()]
    assert whole == [int(0.3 * 2**64), 2**64 - 2**11, 0]


def test_probability_and_independence():
    state, _ = state_and_lanes(4)
    out = np.empty(2**16, np.uint64)
    _random.fill_below(state, _random.bounds([0.3])[0], out)
    bits = np.unpackbits(out.view(np.uint8)).reshape(-1, 8, 64)  # draws, lanes, positions
    for pairs in (bits[1:] & bits[:-1], bits[:, 1:] & bits[:, :-1], bits[..., 1:] & bits[..., :-1]):
        # products of independent bits, correlated with their neighbours in a row
        error = np.sqrt((0.09 * 0.91 + 2 * 0.3**3 * 0.7) / pairs.size)
        assert abs(pairs.mean() - 0.09) < 5 * error
    assert abs(bits.mean() - 0.3) < 5 * np.sqrt(0.21 / bits.size)


@pytest.mark.parametrize("function", [_words.exclusive_or, _words.choose, _words.compare, _words.agree])
def test_functions_of_three_operands(function):
    @njit
    def of_vectors(operands, out):
        result = function(
            _words.load_eight(operands, 0), _words.load_eight(operands, 8), _words.load_eight(operands, 16)
        )
        _words.store_eight(out, 0, result)

    @njit
    def of_words(a, b, c):
        return function(a, b, c)

    operands = np.random.default_rng(6).integers(0, 2**64, (3, 8), np.uint64)
    out = np.empty(8, np.uint64)
    of_vectors(operands, out)
    plain = [function(*map(int, column)) & ALL for column in operands.T]
    assert out.tolist() == plain
    assert [int(of_words(*column)) for column in operands.T] == plain


def test_tables():
    a, b, c = 0b11110000, 0b11001100, 0b10101010
    assert _words.exclusive_or(a, b, c) == a ^ b ^ c
    assert _words.choose(a, b, c) == (a & b | ~a & c)
    for word, bound, before in np.ndindex(2, 2, 2):
        assert _words.compare(word, bound, before) & 1 == (before if word == bound else word < bound)
        assert _words.agree(word, bound, before) & 1 == (before and word == bound)


DIGEST = """
import hashlib
import numpy as np
from isingflow.ising import _multispin, _random
from isingflow.ising._words import _has_one_instruction

digest = hashlib.sha256()
for side, strips, columns in ((16, False, 3), (20, False, 5), (128, True, 3)):
    rng = np.random.default_rng(1)
    rows = side // 64 if strips else side
    packed = rng.integers(0, 2**64, (64, rows, -(-side // 64)), np.uint64)
    packed[..., -1] &= np.uint64(2 ** ((side - 1) % 64 + 1) - 1)
    spins = _multispin.empty_spins(rows, side)
    _multispin.from_rows(packed, side, strips, spins)
    bound = _random.bounds([0.1, 0.02, 0.5, 0.7, 0.99][:columns])
    _multispin.sweep(spins, side, strips, _random.generator_state(rng), bound, 5)
    _multispin.to_rows(spins, side, packed)
    digest.update(packed.tobytes())
print(_has_one_instruction(), digest.hexdigest())
"""


def test_any_processor_gives_the_same_bits(tmp_path):
    def printed(**environment):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | environment
        command = [sys.executable, "-c", DIGEST]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()

    plain, digest = printed(NUMBA_CPU_NAME="generic")
    assert plain == "False"
    assert digest == printed()[1]
    assert digest != hashlib.sha256().hexdigest()
