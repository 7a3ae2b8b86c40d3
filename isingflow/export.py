"""Archives for other programs: a table in CSV, or NetCDF."""

import csv
import io
import tempfile
from pathlib import Path

from isingflow import files
from isingflow.archive import check_target
from isingflow.curve import SERIES
from isingflow.errors import ArchiveError, ParameterError

ENDINGS = (".csv", ".nc")


def export(archive, path, *, overwrite=False) -> None:
    """Write the curves of an archive as CSV or NetCDF, by the ending of the name; whole or not at all.

    Parameters
    ----------
    archive : Archive
        With curves.
    path : str or path
        Ending in ``.csv``: a row for every level of every curve, with its parameters. In ``.nc``: NetCDF-4, a group for
        every family, as `Archive.to_xarray` gives it; needs the extra ``isingflow[xarray]``.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ParameterError
        If the name ends otherwise, or the archive has no curves.
    ArchiveError
        If the file cannot be written, or exists and is not to be replaced.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ParameterError(f"an export must end in {' or '.join(ENDINGS)}, got {path}")
    if not archive.curves:
        raise ParameterError("the archive holds no curves, which alone can be exported: read the rest with h5py")
    check_target(path, overwrite=overwrite)
    content = _csv(archive) if path.suffix == ".csv" else _netcdf(archive)
    try:
        files.write_whole(path, content, mark=path.name)
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror}") from None


def _csv(archive):
    parameters = list(dict.fromkeys(name for curve in archive.curves for name in curve.parameters))
    about = ("system", "quantity", "per", "regime", "scale", "scale_error", "asymptote", "asymptote_error")
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(
        [*about[:3], *parameters, "level", *SERIES, *about[3:], "reference", "estimator", "sample_count", "flags"]
    )
    for curve in archive.curves:
        own = [getattr(curve, name) for name in about]
        given = [curve.parameters.get(name, "") for name in parameters]
        last = [curve.reference, curve.estimator, curve.samples, "; ".join(curve.flags)]
        columns = [getattr(curve, name).tolist() for name in ("levels", *SERIES)]
        for level in zip(*columns, strict=True):
            rows.writerow([*own[:3], *given, *level, *own[3:], *last])
    return table.getvalue().encode()


def _netcdf(archive):
    with tempfile.TemporaryDirectory(prefix="isingflow-") as place:
        path = Path(place, "archive.nc")
        for family in archive.families():
            dataset = archive.to_xarray(family)
            dataset.to_netcdf(path, mode="a", group=family.replace(", ", "_").replace(" ", "_"), engine="h5netcdf")
        return path.read_bytes()
