"""Covariances between several inputs through the layers of an infinitely wide network: the kernels NNGP and NTK.

In the limit of infinite width the pre-activations of m inputs at one neuron are a centred Gaussian vector, whose
covariance, the kernel of the neural-network Gaussian process (NNGP), follows a closed recursion (Lee et al.,
arXiv:1711.00165).
The neural tangent kernel, of gradient descent on all weights and biases, follows beside it (Jacot et al.,
arXiv:1806.07572). Inputs may have any norms.

Beside the variances the squared distances ``E[(z_a - z_b)^2]`` are carried, not the covariances: where inputs are drawn
together, these have lost the differences.
"""

import dataclasses

import numpy as np

from isingflow.errors import ParameterError
from isingflow.network.activations import named
from isingflow.network.meanfield import within_range
from isingflow.parameters import NetworkParameters


@dataclasses.dataclass(frozen=True, eq=False)
class KernelLevels:
    """Covariances between m inputs, level by level.

    Attributes
    ----------
    variances : float64 (depth + 1, m)
        ``E[z_a^2]``, dimensionless.
    distances : float64 (depth + 1, m, m)
        ``E[(z_a - z_b)^2]``, dimensionless, with all its digits.
    """

    variances: np.ndarray
    distances: np.ndarray

    @property
    def kernels(self):
        """Return the covariances ``E[z_a z_b]``, float64 (depth + 1, m, m)."""
        return (self.variances[:, :, None] + self.variances[:, None, :] - self.distances) / 2.0

    @property
    def difference_kernels(self):
        """Return the covariances of ``(z_1, z_2 - z_1, ..., z_m - z_1)``, float64 (depth + 1, m, m).

        Relative entropies of these are those of the kernels, but for the digits that the kernels have lost.
        """
        from_first = self.distances[:, 0, :]
        found = (from_first[:, :, None] + from_first[:, None, :] - self.distances) / 2.0
        found[:, 0, :] = found[:, :, 0] = (self.variances - self.variances[:, :1] - from_first) / 2.0
        found[:, 0, 0] = self.variances[:, 0]
        return found


def nngp_levels(kernel, network: NetworkParameters, *, distances=None) -> KernelLevels:
    """Return the covariances between inputs through the layers, at infinite width.

    Parameters
    ----------
    kernel : float array (m, m)
        Covariance of the pre-activations at level 0, as from `isingflow.network.inputs.input_kernel`; dimensionless,
        symmetric, with no correlation beyond one (which is checked for every pair).
    network : NetworkParameters
        Its width is not used.
    distances : float array (m, m), optional
        ``E[(z_a - z_b)^2]`` at level 0, where they are known to more digits than the kernel leaves.

    Returns
    -------
    KernelLevels

    Raises
    ------
    ParameterError
        If the kernel is not one, another argument is out of its range, or the variance overflows.

    References
    ----------
    Lee et al., arXiv:1711.00165, Eq. 5; with a residual connection Yang & Schoenholz, arXiv:1712.08969.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.0, bias_variance=0.0, depth=2, width=8, activation="relu")
    >>> nngp_levels([[1.0, 0.0], [0.0, 4.0]], network).kernels[1].round(9).tolist()
    [[1.0, 0.636619772], [0.636619772, 4.0]]
    """
    return _levels(kernel, network, distances)[0]


def ntk_levels(kernel, network: NetworkParameters, *, distances=None):
    """Return the neural tangent kernel through the layers, at infinite width.

    ``Theta`` at level l is that of a network which ends there, trained in all its weights and biases, in the
    parametrisation ``W = sigma_w omega / sqrt(fan_in)``, ``b = sigma_b beta`` with standard normal ``omega``, ``beta``:
    ``Theta_0 = K_0`` and ``Theta_{l+1} = K_{l+1} + sigma_w^2 E[phi'(z_a) phi'(z_b)] Theta_l``.

    Parameters
    ----------
    kernel, network, distances
        As for `nngp_levels`.

    Returns
    -------
    float64 (depth + 1, m, m)
        Dimensionless.

    Raises
    ------
    ParameterError
        As for `nngp_levels`.

    References
    ----------
    Jacot, Gabriel & Hongler, arXiv:1806.07572, Theorem 1; Lee et al., arXiv:1902.06720, Appendix E.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=2.0, bias_variance=0.0, depth=2, width=8, activation="relu")
    >>> ntk_levels([[1.0]], network).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    levels, slopes = _levels(kernel, network, distances)
    strength, kernels = network.residual**2, levels.kernels
    tangent = [kernels[0]]
    for before, after, slope in zip(kernels[:-1], kernels[1:], slopes, strict=True):
        tangent.append(after - strength * before + (strength + network.weight_variance * slope) * tangent[-1])
    return np.stack(tangent)


def _levels(kernel, network, distances):
    """Return the `KernelLevels`, and ``E[phi' phi']`` of each level but the last."""
    phi, strength = named(network.activation), network.residual**2
    variance, squared = _checked_kernel(kernel, distances)
    within_range(0, variance)
    count, levels = len(variance), network.depth + 1
    variances, tables = np.empty((levels, count)), np.zeros((levels, count, count))
    slopes = np.empty((network.depth, count, count))
    one, other = np.triu_indices(count, 1)
    for level in range(levels):
        variances[level] = variance
        tables[level][one, other] = tables[level][other, one] = squared
        if level == network.depth:
            break
        difference, product = phi.pair(variance[one], variance[other], squared)
        moment = phi.second_moment(variance)
        slopes[level][one, other] = slopes[level][other, one] = product
        np.fill_diagonal(slopes[level], phi.squared_slope(variance))
        variance = strength * variance + network.weight_variance * moment + network.bias_variance
        squared = strength * squared + network.weight_variance * difference
        within_range(level + 1, variance)
    return KernelLevels(variances, tables), slopes


def _checked_kernel(kernel, distances):
    """Return variances (m,) and squared distances of the pairs a < b."""
    kernel = _checked_matrix("kernel", kernel)
    variance, (one, other) = np.diag(kernel).copy(), np.triu_indices(len(kernel), 1)
    bound = np.outer(*2 * [np.sqrt(variance)]) if (variance >= 0.0).all() else np.full_like(kernel, np.nan)
    if not (np.abs(kernel) <= bound * (1.0 + 1e-12)).all():
        raise ParameterError("kernel must be a covariance: a variance is negative, or a correlation beyond one")
    if distances is None:
        # of two inputs of correlation one the distance is that of their standard deviations, but for rounding
        least = (np.sqrt(variance[one]) - np.sqrt(variance[other])) ** 2
        return variance, np.maximum(variance[one] + variance[other] - 2.0 * kernel[one, other], least)
    distances = _checked_matrix("distances", distances)
    if distances.shape != kernel.shape or not (distances >= 0.0).all():
        raise ParameterError(f"distances must be non-negative and of shape {kernel.shape}, got shape {distances.shape}")
    if not np.allclose((variance[:, None] + variance - distances) / 2.0, kernel, rtol=1e-9, atol=1e-9 * variance.max()):
        raise ParameterError("distances must be those of the kernel, K_aa + K_bb - 2 K_ab, got others")
    return variance, distances[one, other]


def _checked_matrix(name, values):
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be a square array of real numbers: {error}") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ParameterError(f"{name} must be square, of shape (m, m), got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ParameterError(f"{name} must be finite, got NaN or infinite values")
    if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0.0):
        raise ParameterError(f"{name} must be symmetric, got entries that differ from their mirror image")
    return matrix
