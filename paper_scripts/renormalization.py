"""Exponents by the Monte Carlo renormalization group, operator by operator and step by step; prints the tables.

Draws figures/renormalization.png from data/renormalization.h5, or from --archive FILE. --quick (seconds) and --full
(a minute or two) compute a new archive in results/ first.
"""

from _script import main

from isingflow.ising.renormalization import exponent_table
from isingflow.ising_studies import renormalization
from isingflow.plotting.renormalization import renormalization_figure


def tables(archive):
    return "\n\n".join(map(exponent_table, archive.exponents))


if __name__ == "__main__":
    main(__doc__, "renormalization", renormalization, renormalization_figure, table=tables)
