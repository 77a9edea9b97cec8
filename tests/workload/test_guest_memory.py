from __future__ import annotations

import pytest
from pydantic import ValidationError

from gmemgpu.workload.guest_memory import GuestMemory


def test_text_and_integers_mean_the_same() -> None:
    text = GuestMemory(shared_min_bytes="64 MiB", launch_base_ns="10 s", rcu_median_ns="12 ms")
    assert text == GuestMemory(shared_min_bytes=1 << 26, launch_base_ns=10**10, rcu_median_ns=12_000_000)
    assert text == GuestMemory()


def test_every_field_has_a_description() -> None:
    assert [name for name, field in GuestMemory.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"placement": "best_fit"}, "lifo"),
        ({"folio": "1G"}, 'use placement "pool_1g"'),
        ({"shared_min_bytes": "2 GiB"}, "swap them"),
        ({"conversion_min_pages": 8, "conversion_max_pages": 4}, "swap them"),
        ({"conversion_max_pages": 3}, "conversion_max_pages"),
        ({"rcu_median_ns": "12 parsecs"}, "not a time"),
        ({"shared_fraction": 1.5}, "less than or equal to 1"),
        ({"granule_page": 512}, "granule_page"),
        ({"launch_base_ns": 1.5}, "launch_base_ns"),
        ({"conversions_per_s": float("inf")}, "finite number"),
        ({"touched_alpha": float("inf")}, "finite number"),
        ({"convert_sigma": 11}, "less than or equal to 10"),
        ({"granule_pages": 1 << 70}, "granule_pages"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        GuestMemory.model_validate(change)
    assert words in str(caught.value)


def test_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GuestMemory().folio = "2M"
