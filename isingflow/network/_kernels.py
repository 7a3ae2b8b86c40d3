"""Compiled loops of the random network.

Inputs are carried as ``y = (z_1, z_2 - z_1, ..., z_m - z_1)``: small differences keep their digits only if
they are never formed by subtraction. Arrays run over inputs first, then neurons.
"""

import math

import numpy as np
from numba import njit

TANH, ERF, HARD_TANH, PIECEWISE_LINEAR = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy")
def tanh(x):
    """Return tanh(x) to 4e-16, relative: ``(e^2x - 1)/(e^2x + 1)``, where ``e^y - 1 = 2^k (e^r - 1) + 2^k - 1``.

    Ours because libm's takes most of the time of the conditional ensemble: without branches and calls a loop over it
    becomes vector instructions.
    """
    y = 2.0 * min(abs(x), 20.0)  # beyond, it is 1
    shifted = y * 1.4426950408889634 + 6755399441055744.0  # k, the nearest integer to y/ln 2, stands in the last bits
    k = shifted - 6755399441055744.0
    r = (y - k * 6.93147180369123816490e-1) - k * 1.90821492927058770002e-10
    q = r * r  # the series of e^r - 1 - r, its even and its odd terms
    even = ((((q * (1 / 479001600) + 1 / 3628800) * q + 1 / 40320) * q + 1 / 720) * q + 1 / 24) * q + 1 / 2
    odd = ((((q * (1 / 6227020800) + 1 / 39916800) * q + 1 / 362880) * q + 1 / 5040) * q + 1 / 120) * q + 1 / 6
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    excess = power * (r + (q * even + q * r * odd)) + (power - 1.0)
    return math.copysign(excess / (excess + 2.0), x)


@njit(cache=True, nogil=True)
def dot(u, v):
    """Inner product in eight partial sums, which do not wait for each other, in float64."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = len(u) - len(u) % 8
    for k in range(0, whole, 8):
        s0 += np.float64(u[k]) * v[k]
        s1 += np.float64(u[k + 1]) * v[k + 1]
        s2 += np.float64(u[k + 2]) * v[k + 2]
        s3 += np.float64(u[k + 3]) * v[k + 3]
        s4 += np.float64(u[k + 4]) * v[k + 4]
        s5 += np.float64(u[k + 5]) * v[k + 5]
        s6 += np.float64(u[k + 6]) * v[k + 6]
        s7 += np.float64(u[k + 7]) * v[k + 7]
    for k in range(whole, len(u)):
        s0 += np.float64(u[k]) * v[k]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@njit(cache=True, nogil=True)
def increment(z, step, kind, below):
    """Return ``phi(z + step) - phi(z)`` with all its digits, for activations other than tanh."""
    if kind == ERF:
        half, middle = 0.5 * step, z + 0.5 * step
        if abs(half) > 0.02:
            return math.erf(z + step) - math.erf(z)
        square, h = 4.0 * middle * middle, half * half  # the series of the integral about its middle
        fourth = ((square - 12.0) * square + 12.0) / 120.0
        sixth = (((square - 30.0) * square + 180.0) * square - 120.0) / 5040.0
        series = 1.0 + h * ((square - 2.0) / 6.0 + h * (fourth + h * sixth))
        return 2.2567583341910251 * math.exp(-middle * middle) * half * series
    if kind == HARD_TANH:
        inside = min(max(z, -1.0), 1.0)
        return min(max(step + (z - inside), -1.0 - inside), 1.0 - inside)
    outward = math.copysign(1.0, z) * step
    modulus = max(outward, -2.0 * abs(z) - outward)  # |z + step| - |z|
    return 0.5 * (1.0 + below) * step + 0.5 * (1.0 - below) * modulus


@njit(cache=True, nogil=True)
def activate(y, scale, phi, first, kind, below):
    """Write ``scale * (phi(z_1), phi(z_2) - phi(z_1), ...)`` of every neuron into `phi`, from its column `first` on."""
    inputs, neurons = y.shape
    if kind != TANH:
        for a in range(inputs):
            for i in range(neurons):
                # every activation here is zero at zero
                phi[a, first + i] = scale * increment(0.0 if a == 0 else y[0, i], y[a, i], kind, below)
        return
    for i in range(neurons):
        phi[0, first + i] = tanh(y[0, i])
    for a in range(1, inputs):
        for i in range(neurons):
            other = tanh(y[0, i] + y[a, i])
            # tanh u - tanh v = tanh(u - v) (1 - tanh u tanh v)
            phi[a, first + i] = scale * tanh(y[a, i]) * (1.0 - phi[0, first + i] * other)
    for i in range(neurons):
        phi[0, first + i] *= scale


@njit(cache=True, nogil=True)
def triangular_factor(columns, factor):
    """Write R of the QR decomposition of the matrix with these columns into `factor`, by modified Gram-Schmidt.

    `columns` (m, rows) are destroyed. One that depends on those before it leaves a row of zeros, or of rounding.
    """
    count = len(columns)
    factor[:] = 0.0
    for a in range(count):
        squared = dot(columns[a], columns[a])
        if squared == 0.0:
            continue
        norm = math.sqrt(squared)
        factor[a, a] = norm
        for b in range(a + 1, count):
            overlap = dot(columns[a], columns[b])
            factor[a, b] = overlap / norm
            share = overlap / squared
            for i in range(columns.shape[1]):
                columns[b, i] -= share * columns[a, i]


@njit(cache=True, nogil=True)
def add_moments(y, sums, products):
    """Add y and y y^T of every neuron to `sums` and `products`, unless these are empty."""
    for a in range(len(sums)):
        for i in range(y.shape[1]):
            sums[a] += y[a, i]
        for b in range(a + 1):
            products[a, b] += dot(y[a], y[b])
            products[b, a] = products[a, b]


@njit(cache=True, nogil=True)
def add_squares(y, squares):
    """Add the squares of the plain pre-activations of every neuron to `squares`, unless it is empty."""
    z = y[0].copy()
    for a in range(len(squares)):
        if a > 0:
            for i in range(len(z)):
                z[i] = y[0, i] + y[a, i]
        squares[a] += dot(z, z)


@njit(cache=True, nogil=True)
def record(y, first, neurons, kept):
    """Write the plain pre-activations of those of the chosen `neurons` that are here into `kept`, flat (chosen, m).

    The columns of `y` are the neurons from `first` on; what is kept may hold the leading ones of `neurons` only.
    """
    inputs = len(y)
    for k in range(len(kept) // inputs):
        i = neurons[k] - first
        if 0 <= i < y.shape[1]:
            kept[k * inputs] = y[0, i]
            for a in range(1, inputs):
                kept[k * inputs + a] = y[0, i] + y[a, i]


@njit(cache=True, nogil=True)
def draw_given_factor(rng, factor, y):
    """Draw every column of `y` from N(0, R^T R)."""
    inputs, neurons = y.shape
    for a in range(inputs):
        for i in range(neurons):
            y[a, i] = rng.standard_normal()
    for b in range(inputs - 1, -1, -1):  # the normals of the inputs before are still there
        for i in range(neurons):
            y[b, i] *= factor[b, b]
        for a in range(b):
            for i in range(neurons):
                y[b, i] += factor[a, b] * y[a, i]


@njit(cache=True, nogil=True)
def draw_parameters(rng, weights, biases):
    """Fill both with standard normals, neuron by neuron: its row of `weights` (neurons, fan_in), then its bias."""
    for i in range(len(weights)):
        for k in range(weights.shape[1]):
            weights[i, k] = rng.standard_normal()
        biases[i] = rng.standard_normal()


@njit(cache=True, nogil=True)
def conditional_network(
    rng,
    factor,
    widths,
    weight_variance,
    bias_scale,
    residual,
    kind,
    below,
    room,
    sums,
    products,
    squares,
    kept,
    bounds,
    neurons,
):
    """Propagate one network without weights; `factor` comes in as level 0's and is overwritten.

    `room` is scratch for three levels and a bias, zeros; `kept` holds what is wanted of the `neurons`, of each level
    from ``bounds[level]`` to ``bounds[level + 1]``.
    """
    inputs = len(factor)
    size = inputs * (widths.max() + 1)
    for level in range(len(widths)):
        width = widths[level]
        y = room[: inputs * width].reshape((inputs, width))
        drawn = room[size : size + inputs * width].reshape((inputs, width))
        phi = room[2 * size : 2 * size + inputs * (width + 1)].reshape((inputs, width + 1))
        draw_given_factor(rng, factor, drawn)
        skip = residual if level > 0 else 0.0
        for a in range(inputs):
            for i in range(width):
                y[a, i] = skip * y[a, i] + drawn[a, i]
        add_moments(y, sums[level], products[level])
        add_squares(y, squares[level])
        record(y, 0, neurons, kept[bounds[level] : bounds[level + 1]])
        activate(y, math.sqrt(weight_variance / width), phi, 0, kind, below)
        phi[:, -1] = 0.0
        phi[0, -1] = bias_scale
        triangular_factor(phi, factor)
