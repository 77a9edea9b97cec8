"""A real VM table in place of drawn arrivals: which file, how to read it, how to make it one host's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from gmemgpu.errors import Problem, TraceError
from gmemgpu.fields import InputPath, Positive, Section, Share
from gmemgpu.model.host import Host
from gmemgpu.vmtable.record import VmRecords
from gmemgpu.vmtable.thin import keep_for_rate, thin_to_host

__all__ = ["Thin", "VmTableSource"]

TableFormat = Literal["auto", "native", "own", "azure_vmtable", "azure_packing"]


class Thin(Section):
    """From a region's table to one host."""

    keep: Share | None = Field(default=None, description="Share of the table's VMs: 1 / number of hosts.")
    arrivals_per_day: Positive | None = Field(
        default=None, description="Arrivals a day wanted instead: about 0.4 for each running VM."
    )
    p_coloc: Share = Field(default=0.1, description="Chance that a batch comes to one host as a whole. Assumed.")
    batch_max: int = Field(default=32, ge=1, description="Most VMs of such a batch. Assumed.")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.keep is None) == (self.arrivals_per_day is None):
            raise ValueError("does not say how much stays; set either keep or arrivals_per_day")
        return self


class VmTableSource(Section):
    """A file of VMs, read in place of drawing arrivals."""

    path: InputPath = Field(description="The file, plain or gzipped; relative to the file that names it.")
    format: TableFormat = Field(
        default="auto",
        description="native: binned lifetimes, as shipped; own: a table of one's own; azure_vmtable: as published, V1 "
        "or V2; azure_packing: SQLite; auto looks at the file.",
    )
    machine: int | None = Field(default=None, description="azure_packing: machine type; that hosting most VM types.")
    priority: Literal["all", "high", "low"] = Field(default="all", description="azure_packing: which VMs.")
    thin: Thin | None = Field(default=None, description="Make a region's table one host's; else all VMs come here.")
    stock: Literal["auto", "table", "drawn"] = Field(
        default="auto",
        description="VMs at t = 0: those that run already in the table, or drawn ones as without a table; auto takes "
        "the table's if it has any.",
    )

    def read(self, host: Host) -> VmRecords:
        """
        Read the file.

        Parameters
        ----------
        host : Host
            Sizes that are fractions of a machine are taken of it.

        Returns
        -------
        VmRecords
            Every VM of the file; the last file read is kept, and read anew once it changes.

        Raises
        ------
        TraceError
            With every problem of the file.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            raise TraceError(Problem(str(self.path), f"cannot be read: {error.strerror}; check the path")) from None
        return _read(self.path, stat.st_mtime_ns, stat.st_size, self.format, host, self.machine, self.priority)

    def for_host(self, host: Host, seed: int) -> VmRecords:
        """
        Read the file, and select what one host gets.

        Parameters
        ----------
        host : Host
            Sizes that are fractions of a machine are taken of it.
        seed : int
            0 to 2**64 - 1; which VMs stay.

        Returns
        -------
        VmRecords
            All VMs if the table is not to be thinned.

        Raises
        ------
        TraceError
            With every problem of the file.
        """
        records = self.read(host)
        if self.thin is None:
            return records
        keep = self.thin.keep
        if keep is None:
            keep = keep_for_rate(records, self.thin.arrivals_per_day or 0.0)
        return thin_to_host(records, seed, keep=keep, p_coloc=self.thin.p_coloc, batch_max=self.thin.batch_max)


# A sweep replays one file with many seeds, one after another; a changed file is another key.
@lru_cache(maxsize=1)
def _read(
    path: Path,
    mtime_ns: int,
    size_bytes: int,
    table_format: TableFormat,
    host: Host,
    machine: int | None,
    priority: Literal["all", "high", "low"],
) -> VmRecords:
    chosen = _guess(path) if table_format == "auto" else table_format
    # The readers need Arrow or SQLite, which those who only draw do not wait for.
    if chosen == "native":
        from gmemgpu.vmtable.native_csv import read_native_csv

        return read_native_csv(path)
    if chosen == "own":
        from gmemgpu.vmtable.own_table import read_own_table

        return read_own_table(path)
    if chosen == "azure_vmtable":
        from gmemgpu.vmtable.azure_vmtable import read_azure_vmtable

        return read_azure_vmtable(path)
    from gmemgpu.vmtable.azure_packing import read_azure_packing

    return read_azure_packing(path, host, machine=machine, priority=priority)


def _guess(path: Path) -> TableFormat:
    from gmemgpu.columns.text_file import read_first_lines

    # Guessed by content, not by name: what is downloaded is often renamed.
    with path.open("rb") as file:
        if file.read(16) == b"SQLite format 3\x00":
            return "azure_packing"
    names = read_first_lines(path, []).rows[0]
    if "life_lo_s" in names:
        return "native"
    return "own" if "arrival_s" in names else "azure_vmtable"
