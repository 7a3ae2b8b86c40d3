"""Axes that span a grid of parameters: what a study varies, and the dimensions of its archive."""

import dataclasses
import functools
import math


@dataclasses.dataclass(frozen=True)
class Axis:
    """Parameters that vary together along one dimension of a grid.

    Attributes
    ----------
    names : tuple of str
        The parameters; the first gives the axis its name.
    columns : tuple of tuple
        Their values, numbers or texts: as many for each, no combination twice.
    """

    names: tuple
    columns: tuple

    @property
    def name(self) -> str:
        """Name of the first parameter."""
        return self.names[0]

    @functools.cached_property
    def index(self) -> dict:
        """Position of every combination of values."""
        return {values: position for position, values in enumerate(zip(*self.columns, strict=True))}

    def __len__(self):
        return len(self.columns[0])


@dataclasses.dataclass(frozen=True)
class Grid:
    """The product of axes, the last varying fastest.

    Attributes
    ----------
    axes : tuple of Axis

    Examples
    --------
    >>> grid = Grid((Axis(("coupling",), ((0.3, 0.4),)), Axis(("side", "samples"), ((8, 16), (400, 100)))))
    >>> grid.shape, len(grid), grid.point(1)
    ((2, 2), 4, {'coupling': 0.3, 'side': 16, 'samples': 100})
    >>> grid.place({"coupling": 0.4, "side": 8, "samples": 400, "field": 0.0})
    (1, 0)
    """

    axes: tuple = ()

    @property
    def shape(self) -> tuple:
        """Points along each axis."""
        return tuple(map(len, self.axes))

    def __len__(self):
        return math.prod(self.shape)

    def point(self, number) -> dict:
        """Return the parameters of one point, counted from 0."""
        found = []
        for axis in reversed(self.axes):
            number, index = divmod(number, len(axis))
            found += reversed([(name, column[index]) for name, column in zip(axis.names, axis.columns, strict=True)])
        return dict(reversed(found))

    def place(self, parameters) -> tuple:
        """Return the index along each axis; KeyError if no point has these parameters."""
        return tuple(axis.index[tuple(parameters[name] for name in axis.names)] for axis in self.axes)
