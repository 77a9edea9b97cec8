"""A real VM table in place of drawn arrivals: which file, how to read it, how to make it one host's."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gmemgpu.columns.message import shown
from gmemgpu.errors import Problem, TraceError
from gmemgpu.fields import InputPath, Positive, Section, Share
from gmemgpu.model.host import Host
from gmemgpu.vmtable.iso_time import iso_ns
from gmemgpu.vmtable.record import VmRecords
from gmemgpu.vmtable.thin import keep_for_rate, thin_to_host

__all__ = ["Thin", "VmTableSource"]

TableFormat = Literal["auto", "native", "own", "events", "azure_vmtable", "azure_packing"]


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

    path: InputPath = Field(description="The file, compressed or not; relative to the file that names it.")
    format: TableFormat = Field(
        default="auto",
        description="native: binned lifetimes, as shipped; own: a table of one's own; events: creations and deletions; "
        "azure_vmtable: as published, V1 or V2; azure_packing: SQLite; auto looks at the file.",
    )
    columns: dict[str, str] = Field(
        default={},
        description='own: the file\'s names of columns that it names otherwise, as in {arrival = "born", memory_mib = '
        '"size"}.',
    )
    start: str | None = Field(
        default=None,
        description="own: the point in time that is time 0, in ISO 8601; the first arrival. Who came before runs then.",
    )
    host: str | None = Field(
        default=None,
        description='own: the host whose VMs come, of those that the file names, or "*": all on one. A sweep takes '
        "each host in turn.",
    )
    machine: int | None = Field(default=None, description="azure_packing: machine type; that hosting most VM types.")
    priority: Literal["all", "high", "low"] = Field(default="all", description="azure_packing: which VMs.")
    thin: Thin | None = Field(default=None, description="Make a region's table one host's; else all VMs come here.")
    stock: Literal["auto", "table", "drawn"] = Field(
        default="auto",
        description="VMs at t = 0: those that run already in the table, or drawn ones as without a table; auto takes "
        "the table's if it has any, and those of a table of one's own if it has none.",
    )

    @field_validator("start")
    @classmethod
    def _iso(cls, start: str | None) -> str | None:
        if start is not None:
            try:
                iso_ns(start)
            except (ValueError, OverflowError):
                raise ValueError(f'"{start}" is no time from 1970 on; write it as in 2024-05-01T12:00:00Z') from None
        return start

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
        # A sweep replays one file with many seeds, one after another; a changed file is another key.
        about = self.model_copy(update={"host": None, "thin": None, "stock": "auto"})
        key = (about.model_dump_json(), stat.st_mtime_ns, stat.st_size, host)
        if key not in _LAST_READ:
            records = _read(about, host)
            _LAST_READ.clear()
            _LAST_READ[key] = records
        return _LAST_READ[key]

    def host_names(self, host: Host) -> tuple[str, ...]:
        """
        Return the hosts that a trace each is to be made of.

        Parameters
        ----------
        host : Host
            As of `read`.

        Returns
        -------
        tuple of str
            Empty if the file tells none apart, if one is chosen, or if the table is thinned.

        Raises
        ------
        TraceError
            With every problem of the file.
        """
        if self.host is not None or self.thin is not None or self._kind() != "own":
            return ()
        return tuple(sorted(self.read(host).hosts))

    def _kind(self) -> TableFormat:
        if self.format != "auto":
            return self.format
        # Arrow is not loaded for those who only draw.
        from gmemgpu.vmtable.table_kind import table_kind

        return table_kind(self.path, mapped=bool(self.columns))

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
            All VMs if the table is not to be thinned and names no hosts.

        Raises
        ------
        TraceError
            With every problem of the file, or if it is not said which of its hosts it shall be.
        """
        return self.of_host(self.read(host), seed)

    def of_host(self, records: VmRecords, seed: int) -> VmRecords:
        """
        Select what one host gets.

        Parameters
        ----------
        records : VmRecords
            Of the file, as `read`.
        seed : int
            As of `for_host`.

        Returns
        -------
        VmRecords
            As of `for_host`.

        Raises
        ------
        TraceError
            As of `for_host`.
        """
        if self.host not in (None, "*"):
            if self.host not in records.hosts:
                close = get_close_matches(self.host, records.hosts, n=1)
                hint = f"did you mean {shown(close[0])}?" if close else f"there are {_listed(records.hosts)}"
                raise TraceError(Problem(f"{self.path}: host", f"{shown(self.host)} is not in the table; {hint}"))
            records = records.select(records.host == records.hosts.index(self.host))
        elif self.host is None and self.thin is None and len(records.hosts) > 1:
            n = len(records.hosts)
            message = (
                f"holds the VMs of {n:,} hosts ({_listed(records.hosts)}), and a trace is of one: set vm_table.host to "
                'its name, or to "*" to put all VMs on one; a sweep takes each host in turn'
            )
            raise TraceError(Problem(str(self.path), message))
        if self.thin is None:
            return records
        keep = self.thin.keep
        if keep is None:
            keep = keep_for_rate(records, self.thin.arrivals_per_day or 0.0)
        return thin_to_host(records, seed, keep=keep, p_coloc=self.thin.p_coloc, batch_max=self.thin.batch_max)

    def draws_stock(self, records: VmRecords) -> bool:
        """
        Return whether the VMs that run at t = 0 are drawn.

        Parameters
        ----------
        records : VmRecords
            What one host gets.

        Returns
        -------
        bool
            False if they are those that run already in the table, of which there may be none.
        """
        if self.stock == "auto":
            return not records.own and not bool(records.running.any())
        return self.stock == "drawn"


def _listed(hosts: tuple[str, ...]) -> str:
    text = ", ".join(map(shown, hosts[:5]))
    return f"{text} …" if len(hosts) > 5 else text


_LAST_READ: dict[Any, VmRecords] = {}


def _read(source: VmTableSource, host: Host) -> VmRecords:
    # The readers need Arrow or SQLite, which those who only draw do not wait for.
    kind = source._kind()
    if kind == "own":
        from gmemgpu.vmtable.own_table import read_own_table

        start_ns = None if source.start is None else iso_ns(source.start)
        return read_own_table(source.path, source.columns, start_ns, host.nodes)
    if kind == "events":
        from gmemgpu.vmtable.event_table import read_event_table
        from gmemgpu.vmtable.own_table import own_records

        return own_records(read_event_table(source.path))
    if kind == "native":
        from gmemgpu.vmtable.native_csv import read_native_csv

        return read_native_csv(source.path)
    if kind == "azure_vmtable":
        from gmemgpu.vmtable.azure_vmtable import read_azure_vmtable

        return read_azure_vmtable(source.path)
    from gmemgpu.vmtable.azure_packing import read_azure_packing

    return read_azure_packing(source.path, host, machine=source.machine, priority=source.priority)
