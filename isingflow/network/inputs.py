"""Inputs of random networks: white noise, handwritten digits, normalisation, exact covariance at level 0."""

import numpy as np

from isingflow.errors import ParameterError
from isingflow.parameters import NetworkParameters, whole
from isingflow.seeding import generator


def white_noise(inputs, features, *, rng):
    """Return inputs of independent standard normal features.

    Their norms fluctuate: `normalise` them where ``|x|^2 / n_in = 1`` is wanted exactly.

    Parameters
    ----------
    inputs : int
        Number of inputs m, at least 1.
    features : int
        Features n_in of one input, at least 1.
    rng : numpy.random.Generator or int
        Random stream, or a non-negative seed.

    Returns
    -------
    float64 (m, n_in)
        Dimensionless.

    Raises
    ------
    ParameterError
        If an argument is out of its range.

    Examples
    --------
    >>> white_noise(2, 64, rng=1).shape
    (2, 64)
    """
    shape = whole("inputs", inputs), whole("features", features)
    return generator(rng).standard_normal(shape)


def digits(indices):
    """Return handwritten digits, 8 x 8 pixels each, from the copy that scikit-learn carries.

    These are the raw grey values: pass them through `normalise` before propagating them.

    Parameters
    ----------
    indices : int or sequence of int
        Which of the 1797 images, each in [0, 1796]; m of them.

    Returns
    -------
    float64 (m, 64)
        Grey values in [0, 16], rows of pixels one after the other.

    Raises
    ------
    ParameterError
        If an index is not a whole number or out of range, or there is none.

    References
    ----------
    Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998).

    Examples
    --------
    >>> digits([0, 1]).shape
    (2, 64)
    """
    wanted = np.atleast_1d(np.asarray(indices, dtype=object)).ravel().tolist()
    if not wanted:
        raise ParameterError("at least one index of a digit is required, got none")
    wanted = [whole("index of a digit", index, low=0, high=1796) for index in wanted]

    from sklearn.datasets import load_digits

    return load_digits().data[wanted]


def normalise(images):
    """Return images each centred and scaled, on its own, to ``|x|^2 / n_in = 1``.

    Parameters
    ----------
    images : float array (m, n_in)
        One image a row, any unit, finite, with at least two different values in every row.

    Returns
    -------
    float64 (m, n_in)
        Rows of mean 0 and mean square 1, dimensionless.

    Raises
    ------
    ParameterError
        If `images` is not such an array, or an image is constant.

    Examples
    --------
    >>> normalise([[0.0, 2.0], [4.0, 0.0]]).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    images = checked_inputs("images", images)
    constant = np.flatnonzero(images.min(axis=1) == images.max(axis=1))
    if constant.size:
        raise ParameterError(
            f"a constant image cannot be scaled to unit norm: rows {constant.tolist()} of {len(images)}"
        )
    # Divided first, lest squares overflow; centred again, because a mean far from zero is rounded.
    rows = images / np.abs(images).max(axis=1, keepdims=True)
    for _ in range(2):
        rows -= rows.mean(axis=1, keepdims=True)
        rows /= np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
    return rows


def input_kernel(inputs, network: NetworkParameters):
    """Return the covariance of the inputs' pre-activations at level 0, over weights and biases.

    This is exact at every width; of all levels it is the only one that is.

    Parameters
    ----------
    inputs : float array (m, n_in)
        Finite, dimensionless.
    network : NetworkParameters
        Its variances are used.

    Returns
    -------
    float64 (m, m)
        ``sigma_w^2 x_a . x_b / n_in + sigma_b^2``, dimensionless.

    Raises
    ------
    ParameterError
        If `inputs` is not a finite array of that shape, or its covariance overflows.

    References
    ----------
    Lee et al., arXiv:1711.00165, Section 2.2, the base case ``K^0`` of the recursion.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.0, bias_variance=0.5, depth=1, width=8)
    >>> input_kernel([[1.0, 1.0], [1.0, -1.0]], network).tolist()
    [[2.5, 0.5], [0.5, 2.5]]
    """
    inputs = checked_inputs("inputs", inputs)
    with np.errstate(over="ignore", invalid="ignore"):
        # Not a matrix product: threaded BLAS does not give the same bits everywhere.
        overlaps = np.einsum("ai,bi->ab", inputs, inputs) / inputs.shape[1]
        kernel = network.weight_variance * overlaps + network.bias_variance
    if not np.isfinite(kernel).all():
        raise ParameterError(f"inputs up to {np.abs(inputs).max():.3g} are too large: their covariance overflows")
    return kernel


def checked_inputs(name, values):
    """Return `values` as a contiguous float64 array (m, n_in), or raise if it is no finite, non-empty matrix.

    Parameters
    ----------
    name : str
        What the message calls the array.
    values : array
        The array.

    Returns
    -------
    float64 (m, n_in)

    Raises
    ------
    ParameterError
        If `values` is not two-dimensional, is empty, not real, or not finite.

    Examples
    --------
    >>> checked_inputs("inputs", [[1, 2]]).tolist()
    [[1.0, 2.0]]
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"dtype {array.dtype}")
        array = np.ascontiguousarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be an array of real numbers: {error}") from error
    if np.ndim(values) != 2:
        raise ParameterError(f"{name} must have shape (inputs, features), got shape {np.shape(values)}")
    if array.size == 0:
        raise ParameterError(f"{name} must not be empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ParameterError(f"{name} must be finite, got NaN or infinite values")
    return array
