from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from gmemgpu.errors import TraceError
from gmemgpu.vmtable.azure_vmtable import COLUMNS
from gmemgpu.vmtable.table_kind import table_kind

AZURE = "h{},s1,d1,300,600,{},{},{},Unknown,{},{}\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (AZURE.format(1, 12.5, 3.5, 9.1, 4, 4), "azure_vmtable"),
        (AZURE.format(1, 0, 0, 0, 4, 8), "azure_vmtable"),
        (AZURE.format(1, 1, 1, 1, ">24", ">64"), "azure_vmtable"),
        # What a broken row holds does not make another file of it.
        ("x,x,x,x,x,x,x,x,x,x,x\n" + AZURE.format(1, 0, 0, 0, 4, 8) * 3, "azure_vmtable"),
        (",".join(COLUMNS).upper() + "\n", "azure_vmtable"),
        ("arrival_s,batch_id,vcpus,mem_gb,life_lo_s,life_hi_s,censored\n", "native"),
        ("# made by X\n\nArrival_S;VCPUS;mem;Lifetime\n", "own"),
        ("id\tstart\tend\tcores\n", "own"),
    ],
)
def test_kinds_are_told_by_content(tmp_path: Path, text: str, kind: str) -> None:
    path = tmp_path / "t"
    path.write_text(text)
    assert table_kind(path) == kind


def test_kinds_of_typed_files(tmp_path: Path) -> None:
    path = tmp_path / "t"
    pa.parquet.write_table(pa.table({"start_time": [1], "stop_time": [2], "cpu_count": [1]}), path)
    assert table_kind(path) == "own"
    path.write_bytes(b"SQLite format 3\x00" + bytes(100))
    assert table_kind(path) == "azure_packing"
    path.write_bytes(b"PAR1 and nothing")
    with pytest.raises(TraceError, match="is no complete Parquet file"):
        table_kind(path)


def test_an_unknown_first_line_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("born_at,died_at,n_cpu,memsize,\x1b[2J\n" + "1,2,3,4,5\n" * 5000)
    with pytest.raises(TraceError) as caught:
        table_kind(path)
    (problem,) = caught.value.problems
    assert problem.message == (
        "its first line names born_at, died_at, n_cpu, memsize, '\\x1b[2J'; a VM table needs arrival, vcpus, memory "
        "and departure or lifetime, and this one has no arrival, no vcpus, no departure or lifetime (near: n_cpu for "
        "vcpus, died_at for departure); say which column it is: --map arrival=COLUMN, or in a spec "
        'vm_table.columns = {arrival = "COLUMN"}'
    )
    # Who says which is which has a table of his own.
    assert table_kind(path, mapped=True) == "own"
