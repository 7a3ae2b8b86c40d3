"""Compiled loops of the random network.

Inputs are carried as ``y = (z_1, z_2 - z_1, ..., z_m - z_1)``: small differences keep their digits only if
they are never formed by subtraction. Arrays of conditional networks, which have few inputs, have a row for every
input; those of networks with weights, which may have many, a row for every neuron.
"""

import math

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  np.dot calls it: it has to be there when its threads are limited
from numba import njit

TANH, ERF, HARD_TANH, PIECEWISE_LINEAR = 0, 1, 2, 3


@njit(cache=True, nogil=True, error_model="numpy")
def exponential(y):
    """Return ``2^k`` and ``e^r - 1`` of ``e^y = 2^k (1 + (e^r - 1))``, to 2e-16; y in [-700, 700].

    Ours because libm's takes most of the time of a network: without branches and calls a loop over it becomes vector
    instructions.
    """
    shifted = y * 1.4426950408889634 + 6755399441055744.0  # k, the nearest integer to y/ln 2, stands in the last bits
    k = shifted - 6755399441055744.0
    r = (y - k * 6.93147180369123816490e-1) - k * 1.90821492927058770002e-10
    q = r * r
    h = q * q
    # the series of e^r - 1 - r in pairs of terms, which do not wait for each other
    first = (1 / 2 + r * (1 / 6)) + q * (1 / 24 + r * (1 / 120))
    second = (1 / 720 + r * (1 / 5040)) + q * (1 / 40320 + r * (1 / 362880))
    third = (1 / 3628800 + r * (1 / 39916800)) + q * (1 / 479001600 + r * (1 / 6227020800))
    power = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return power, r + q * (first + h * (second + h * third))


@njit(cache=True, nogil=True, error_model="numpy")
def tanh(x):
    """Return tanh(x) to 4e-16, relative: ``(e^2x - 1)/(e^2x + 1)``."""
    power, fraction = exponential(2.0 * min(abs(x), 20.0))  # beyond, it is 1
    excess = power * fraction + (power - 1.0)
    return math.copysign(excess / (excess + 2.0), x)


@njit(cache=True, nogil=True, error_model="numpy")
def decay(z):
    """Return ``e^{-2 |z|}``, of z up to 300: beyond, nothing changes."""
    power, fraction = exponential(-2.0 * min(abs(z), 300.0))
    return power + power * fraction


@njit(cache=True, nogil=True, error_model="numpy")
def tanh_increment(z, step, decay):
    """Return ``tanh(z + step) - tanh(z)`` to 1e-15, relative, where ``decay = e^{-2 |z|}``.

    For z > 0 it is ``2 decay (e^{2 step} - 1) / ((1 + decay) (decay + e^{2 step}))``: no two terms cancel.
    """
    outward = (step if z >= 0.0 else -step) + (abs(z) - min(abs(z), 300.0))
    power, fraction = exponential(max(min(2.0 * outward, 50.0), -690.0))
    growth, excess = power + power * fraction, power * fraction + (power - 1.0)
    return math.copysign(2.0 * decay * excess / ((1.0 + decay) * (decay + growth)), excess if z >= 0.0 else -excess)


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
def activate(y, scale, phi, kind, below):
    """Write ``scale * (phi(z_1), phi(z_2) - phi(z_1), ...)`` of every neuron into `phi` (m, neurons or more)."""
    inputs, neurons = y.shape
    if kind != TANH:
        for a in range(inputs):
            for i in range(neurons):
                # every activation here is zero at zero
                phi[a, i] = scale * increment(0.0 if a == 0 else y[0, i], y[a, i], kind, below)
        return
    decays = np.empty(neurons)
    for i in range(neurons):
        phi[0, i] = scale * tanh(y[0, i])
        decays[i] = decay(y[0, i])
    for a in range(1, inputs):
        for i in range(neurons):
            phi[a, i] = scale * tanh_increment(y[0, i], y[a, i], decays[i])


@njit(cache=True, nogil=True)
def activate_rows(y, scale, phi, kind, below):
    """As `activate`, of arrays whose rows are neurons, (neurons, m): where there are many inputs."""
    neurons, inputs = y.shape
    for i in range(neurons):
        z = np.float64(y[i, 0])
        if kind == TANH:
            phi[i, 0] = scale * tanh(z)
            e = decay(z)
            for a in range(1, inputs):
                phi[i, a] = scale * tanh_increment(z, y[i, a], e)
        else:
            phi[i, 0] = scale * increment(0.0, z, kind, below)
            for a in range(1, inputs):
                phi[i, a] = scale * increment(z, y[i, a], kind, below)


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
def record(y, neurons, kept):
    """Fill `kept`, flat (neurons, m), with the plain pre-activations of the leading ones of `neurons`."""
    inputs = len(y)
    for k in range(len(kept) // inputs):
        i = neurons[k]
        kept[k * inputs] = y[0, i]
        for a in range(1, inputs):
            kept[k * inputs + a] = y[0, i] + y[a, i]


@njit(cache=True, nogil=True)
def record_rows(y, neurons, kept):
    """As `record`, of an array whose rows are neurons."""
    inputs = y.shape[1]
    for k in range(len(kept) // inputs):
        for a in range(inputs):
            kept[k * inputs + a] = y[neurons[k], a] + (y[neurons[k], 0] if a > 0 else 0.0)


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
        record(y, neurons, kept[bounds[level] : bounds[level + 1]])
        activate(y, math.sqrt(weight_variance / width), phi, kind, below)
        phi[:, -1] = 0.0
        phi[0, -1] = bias_scale
        triangular_factor(phi, factor)


@njit(cache=True, nogil=True)
def add_moments_rows(y, sums, products, squares):
    """As `add_moments` and `add_squares`, of an array whose rows are neurons."""
    if len(sums) > 0:
        wide = y.astype(np.float64)
        found = np.dot(wide.T, wide)
        for a in range(len(sums)):
            for b in range(a + 1):
                products[a, b] += found[a, b]
                products[b, a] = products[a, b]
        for i in range(len(y)):
            for a in range(len(sums)):
                sums[a] += wide[i, a]
    for i in range(len(y)):
        for a in range(len(squares)):
            z = np.float64(y[i, 0]) + y[i, a] if a > 0 else np.float64(y[i, 0])
            squares[a] += z * z


@njit(cache=True, nogil=True)
def draw_and_advance(
    rng, weights, biases, y, phi, features, scale, bias_scale, residual, kind, below, sums, products, squares
):
    """Draw the weights of some neurons and advance these by a layer: rows of `weights`, `y` and `phi` are theirs.

    Weights and biases are left as standard normals, neuron by neuron its weights and then its bias: the scale of the
    weights goes with the `features` (fan_in, m).
    """
    for i in range(len(weights)):
        row = weights[i]
        for k in range(len(row)):
            row[k] = rng.standard_normal()
        biases[i] = rng.standard_normal()
    if residual > 0.0:
        fresh = np.dot(weights, features)
        for i in range(len(y)):
            for a in range(y.shape[1]):
                y[i, a] = residual * y[i, a] + fresh[i, a]
    else:
        np.dot(weights, features, y)
    for i in range(len(y)):
        y[i, 0] += bias_scale * biases[i]
    activate_rows(y, scale, phi, kind, below)
    add_moments_rows(y, sums, products, squares)


@njit(cache=True, nogil=True)
def weighted_network(
    rng,
    features,
    widths,
    weight_variance,
    bias_scale,
    residual,
    kind,
    below,
    room,
    starts,
    sums,
    products,
    squares,
    kept,
    bounds,
    neurons,
):
    """Propagate one network with weights; scaled `features` (n_in, m) come in.

    `room` holds weights and then biases of each level from ``starts[level]`` on; `kept` as in `conditional_network`.
    """
    inputs = features.shape[1]
    y = np.empty((widths.max(), inputs), features.dtype)
    for level in range(len(widths)):
        width, fan_in = widths[level], len(features)
        here = room[starts[level] : starts[level] + width * (fan_in + 1)]
        weights = here[: width * fan_in].reshape((width, fan_in))
        phi = np.empty((width, inputs), features.dtype)
        rule = math.sqrt(weight_variance / width), bias_scale, residual if level > 0 else 0.0, kind, below
        moments = sums[level], products[level], squares[level]
        draw_and_advance(rng, weights, here[width * fan_in :], y[:width], phi, features, *rule, *moments)
        record_rows(y, neurons, kept[bounds[level] : bounds[level + 1]])
        features = phi
