"""Inputs of random networks: noise, images, normalisation, exact covariance at level 0."""

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from isingflow.errors import ArchiveError, ParameterError
from isingflow.network.image_files import grey_values
from isingflow.parameters import NetworkParameters, choice, chosen_indices, finite, whole, within_memory
from isingflow.seeding import generator

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package dataset-fashion-mnist puts its files."""

SMALLEST_GAP = 1e-20
"""Of two inputs that are not equal: a smaller difference has fewer than six digits beside entries of order one."""


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs that say where they come from; every function that takes an array of inputs takes them too.

    Attributes
    ----------
    values : float64 (m, n_in)
        Finite, read-only.
    source : str
        What they are, such as "fashion-mnist test images".
    indices : tuple of int
        Which of its images, if they are numbered.

    Raises
    ------
    ParameterError
        If `values` is no finite array (m, n_in), or there are not as many indices as inputs.

    Examples
    --------
    >>> pair = normalise(Inputs(digits([0, 1]), "digits", (0, 1)))
    >>> pair.description
    'digits [0, 1]; each centred, of unit norm'
    """

    values: np.ndarray
    source: str
    indices: tuple = ()

    def __post_init__(self):
        values = checked_inputs("values", self.values).copy()
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        given = np.atleast_1d(np.asarray(self.indices, dtype=object)).ravel()
        object.__setattr__(self, "indices", tuple(whole("index", index, low=0) for index in given))
        if self.indices and len(self.indices) != len(values):
            raise ParameterError(f"{len(values)} inputs need as many indices, or none, got {len(self.indices)}")

    @property
    def normalisation(self) -> str:
        """How the values are normalised, to 1e-9: found from them, so that it is true of them."""
        if np.abs(self.values).max() > 2.0 * np.sqrt(self.values.shape[1]):  # the squares might overflow
            return "not normalised"
        unit = np.allclose(np.mean(self.values**2, axis=1), 1.0, rtol=0, atol=1e-9)
        centred = np.allclose(self.values.mean(axis=1), 0.0, rtol=0, atol=1e-9)
        return ("each centred, of unit norm" if centred else "each of unit norm") if unit else "not normalised"

    @property
    def description(self) -> str:
        """Source, indices and normalisation in one line, for the parameters of a curve."""
        listed = f" [{', '.join(_runs(self.indices))}]" if self.indices else ""
        return f"{self.source}{listed}; {self.normalisation}"

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)


def _runs(indices):
    """Write three consecutive indices or more as their ends."""
    for _, run in itertools.groupby(enumerate(indices), lambda numbered: numbered[1] - numbered[0]):
        numbers = [str(number) for _, number in run]
        yield from numbers if len(numbers) < 3 else [f"{numbers[0]}-{numbers[-1]}"]


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


def correlated_noise(inputs, features, *, correlation=None, gap=None, rng):
    """Return inputs of unit norm with correlations as prescribed, not only on average, and random otherwise.

    ``x_a . x_b / n_in`` is the correlation of a and b, to rounding; together the inputs are turned at random, uniformly
    over the rotations of ``n_in`` dimensions. Inputs that differ by little differ by what they should: ``|x_a - x_b|^2
    / n_in = 2 gap`` with a relative error of about ``1e-16 / sqrt(gap)``, the rounding of the entries themselves.
    They are not centred, and `normalise` would change their correlations.

    Parameters
    ----------
    inputs : int
        Number of inputs m, at least 1.
    features : int
        Features n_in of one input, at least m.
    correlation : float or float array (m, m), optional
        Of every pair, in [-1, 1], dimensionless; or of each, a positive semidefinite matrix with unit diagonal, which
        is taken to be right to 1e-14 and must be 1, or no closer to 1 than 1e-13.
    gap : float or float array (m, m), optional
        Instead of it ``1 - correlation``, in [0, 2], taken as exact: it keeps the digits of correlations close to one.
        Zero (equal inputs) or at least 1e-20.
    rng : numpy.random.Generator or int
        Random stream, or a non-negative seed.

    Returns
    -------
    float64 (m, n_in)
        Dimensionless.

    Raises
    ------
    ParameterError
        If an argument is out of its range, not one of correlation and gap is given, the matrix is none of
        correlations, or the inputs would not fit into the machine's memory.

    Examples
    --------
    >>> x = correlated_noise(2, 64, correlation=0.6, rng=1)
    >>> (x @ x.T / 64).round(12).tolist()
    [[1.0, 0.6], [0.6, 1.0]]
    >>> x, y = correlated_noise(2, 64, gap=1e-12, rng=1)
    >>> round(float(np.mean((x - y) ** 2)) / 2e-12, 8)
    1.0
    """
    inputs, features = whole("inputs", inputs), whole("features", features)
    if features < inputs:
        raise ParameterError(f"{inputs} inputs need as many features or more, got {features}")
    within_memory(f"{inputs} correlated inputs of {features} features", 8 * inputs * (4 * features + 12 * inputs))
    steps, nearest = _steps(*_gaps(inputs, correlation, gap))
    turned = np.sqrt(features) * np.einsum("ab,bi->ai", steps, _frame(inputs, features, generator(rng)))
    return _walk(turned, nearest)


def _gaps(inputs, correlation, gap):
    """Return the table of ``1 - correlation``, float64 (m, m), and the rounding that it came with."""
    if (correlation is None) == (gap is None):
        raise ParameterError(f"one of correlation= and gap= is required, got {'none' if gap is None else 'both'}")
    if gap is None:
        rounding = 1e-14 if isinstance(correlation, Iterable) else 0.0
        gaps = 1.0 - _pairs("correlation", correlation, inputs, diagonal=1.0, low=-1.0, high=1.0, rounding=rounding)
    else:
        rounding = 0.0
        gaps = _pairs("gap", gap, inputs, diagonal=0.0, low=0.0, high=2.0, rounding=rounding)
    smallest = 10 * rounding or SMALLEST_GAP
    if gaps.any() and gaps[gaps > 0.0].min() < smallest:
        raise ParameterError(
            f"gaps 1 - correlation must be 0 or at least {smallest:g}, got {gaps[gaps > 0.0].min():g}: less is lost in "
            f"rounding{', but gap= takes it' if rounding else ''}"
        )
    return gaps, rounding


def _pairs(name, given, inputs, *, diagonal, low, high, rounding):
    """Return a table of all pairs, from one number for them all or from a table that is right to some rounding."""
    if not isinstance(given, Iterable):
        given = np.full((inputs, inputs), finite(name, given, low=low, high=high))
        np.fill_diagonal(given, diagonal)
    given = checked_inputs(name, given)
    if given.shape != (inputs, inputs):
        raise ParameterError(f"{name} must be a number or have shape {(inputs, inputs)}, got shape {given.shape}")
    if given.min() < low - rounding or given.max() > high + rounding:
        raise ParameterError(f"{name} must lie in [{low:g}, {high:g}], got {given.min():g} to {given.max():g}")
    if np.abs(given - given.T).max() > rounding or np.abs(np.diag(given) - diagonal).max() > rounding:
        raise ParameterError(f"{name} must be symmetric with a diagonal of {diagonal:g}, got another matrix")
    table = np.clip((given + given.T) / 2.0, low, high)  # no further than by that rounding
    np.fill_diagonal(table, diagonal)
    return table


def _steps(gaps, rounding):
    """Return coordinates of the first input and of the step to each other one from the nearest before it, and which.

    The lengths of the steps are the small gaps themselves; from the correlations they would be lost in rounding.
    """
    count = len(gaps)
    nearest = np.array([gaps[index, :index].argmin() for index in range(1, count)], dtype=int)
    covariance = np.ones((count, count))
    covariance[0, 1:] = covariance[1:, 0] = gaps[0, nearest] - gaps[0, 1:]
    across = gaps[1:, nearest]
    covariance[1:, 1:] = across + across.T - gaps[1:, 1:] - gaps[np.ix_(nearest, nearest)]
    steps = _factor(covariance, rounding)
    places = _walk(steps, nearest)
    found = np.stack([np.sum((places - place) ** 2, axis=1) / 2.0 for place in places])
    off = np.abs(found - gaps) > 1e-9 * gaps + count * (8 * np.finfo(float).eps * np.sqrt(gaps) + rounding)
    if off.any() or np.abs(np.sum(places**2, axis=1) - 1.0).max() > 1e-14 * count:
        raise ParameterError(
            f"correlations of {count} inputs must form a positive semidefinite matrix, got a smallest eigenvalue of "
            f"{np.linalg.eigvalsh(1.0 - gaps)[0]:.6g}; if that is zero but for rounding, correlations close to one "
            "contradict each other: check their gaps, and give them as gap="
        )
    return steps, nearest


def _factor(covariance, rounding):
    """Return rows with a covariance: Cholesky's, the longest rest first, so that short rows keep their digits.

    A rest within rounding is taken for none, and so is one of a negative square.
    """
    rest, factor = covariance.copy(), np.zeros_like(covariance)
    floor = 4 * len(rest) * np.finfo(float).eps * np.diag(rest) + rounding
    for column in range(len(rest)):
        squares = np.where(np.diag(rest) > floor, np.diag(rest), 0.0)
        longest = squares.argmax()
        if squares[longest] == 0.0:
            break
        factor[:, column] = rest[:, longest] / np.sqrt(squares[longest])
        rest -= np.outer(factor[:, column], factor[:, column])
    return factor


def _frame(count, features, stream):
    """Return orthonormal rows, every orientation equally likely: normal ones after Gram and Schmidt."""
    rows = stream.standard_normal((count, features))
    for index, row in enumerate(rows):
        for _ in range(2):  # the second time for the rounding of the first
            row -= np.einsum("a,ai->i", np.einsum("ai,i->a", rows[:index], row), rows[:index])
        row /= np.sqrt(np.sum(row**2))
    return rows


def _walk(steps, nearest):
    """Add each step to the place it starts from."""
    places = steps.copy()
    for index, before in enumerate(nearest, start=1):
        places[index] += places[before]
    return places


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
    wanted = chosen_indices("index of a digit", indices, 1797)

    from sklearn.datasets import load_digits

    return load_digits().data[list(wanted)]


def images(path, indices=None, *, dataset=None) -> Inputs:
    """Return images from a file: IDX (the MNIST family, compressed by gzip or not), .npy, .npz or HDF5.

    These are the raw grey values: pass them through `normalise` before propagating them. Whole numbers beyond 2**53
    are rounded.

    Parameters
    ----------
    path : str or path
        The file; its format is told from its content. It holds an array (images, ...) of real numbers.
    indices : int or sequence of int, optional
        Which images, from 0 on, m of them; without it all.
    dataset : str, optional
        Which array of an .npz or HDF5 file, if there are several.

    Returns
    -------
    Inputs
        (m, n_in), an image's pixels with the last axis fastest, in the file's unit; the source is the file's name.

    Raises
    ------
    ArchiveError
        If there is no such file, it is none of these, truncated, too long or corrupt, or it holds no images: labels
        (one number each), objects, complex numbers, NaN.
    ParameterError
        If an index is out of range, the array is not named by `dataset`, or the images would not fit into the
        machine's memory.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "stripes.npy")
    >>> np.save(path, np.arange(12).reshape(3, 2, 2) % 3)
    >>> two = images(path, [0, 2])
    >>> two.values.tolist(), two.description
    ([[0.0, 1.0, 2.0, 0.0], [2.0, 0.0, 1.0, 2.0]], 'stripes.npy [0, 2]; not normalised')
    """
    values, indices = grey_values(path, indices, dataset=dataset)
    source = Path(path).name if dataset is None else f"{Path(path).name} {dataset}"
    return Inputs(values, source, indices)


def fashion_mnist(indices, *, part="test", directory=FASHION_MNIST) -> Inputs:
    """Return images of Fashion-MNIST, 28 x 28 pixels each, from Debian's package dataset-fashion-mnist.

    These are the raw grey values: pass them through `normalise` before propagating them.

    Parameters
    ----------
    indices : int or sequence of int
        Which of the 10000 test images or 60000 training images, from 0 on; m of them.
    part : {"test", "train"}
        Which set.
    directory : str or path
        Where the files are, under the names they were published with, compressed by gzip or not.

    Returns
    -------
    Inputs
        (m, 784), grey values in [0, 255], rows of pixels one after the other.

    Raises
    ------
    ArchiveError
        If the file is not there, or cannot be read.
    ParameterError
        If an index is not a whole number or out of range, or there is none, or there is no such part.

    References
    ----------
    Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv:1708.07747.
    """
    published = {"test": "t10k-images-idx3-ubyte", "train": "train-images-idx3-ubyte"}
    name = published[choice("part", part, published)]
    there = [path for path in (Path(directory, f"{name}.gz"), Path(directory, name)) if path.exists()]
    if not there:
        raise ArchiveError(
            f"{directory} has no {name}.gz: install Debian's package (apt-get install dataset-fashion-mnist), "
            "or say with directory= where the files are"
        )
    return dataclasses.replace(images(there[0], indices), source=f"fashion-mnist {part} images")


def normalise(images):
    """Return images each centred and scaled, on its own, to ``|x|^2 / n_in = 1``.

    Parameters
    ----------
    images : float array (m, n_in) or Inputs
        One image a row, any unit, finite, with at least two different values in every row.

    Returns
    -------
    float64 (m, n_in), or Inputs for Inputs
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
    if isinstance(images, Inputs):
        return dataclasses.replace(images, values=normalise(images.values))
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
