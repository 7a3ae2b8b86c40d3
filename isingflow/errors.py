"""Every exception and warning class of the package."""


class IsingflowError(Exception):
    """Base class of everything the package raises on purpose."""


class ParameterError(IsingflowError, ValueError):
    """A parameter or an array is outside what the formula or the algorithm holds for."""


class ArchiveError(IsingflowError, OSError):
    """An archive cannot be read or written as asked."""


class ConvergenceError(IsingflowError, ArithmeticError):
    """An iteration ended without reaching its tolerance.

    Attributes
    ----------
    best : object
        The best value reached.
    """

    def __init__(self, message, best=None):
        super().__init__(message)
        self.best = best


class IsingflowWarning(UserWarning):
    """Base class of the package's warnings."""


class InfiniteDivergenceWarning(IsingflowWarning):
    """A relative entropy is infinite: q gives no mass to something p does."""


class ShortRunWarning(IsingflowWarning):
    """A Monte Carlo run is too short to know its own autocorrelation time."""
