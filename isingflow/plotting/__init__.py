"""Pictures of curves: pure drawing, no files, no simulation, no repair of data."""
