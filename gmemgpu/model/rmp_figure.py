"""What rows say of images of the RMP: how many regions are free, and how little keeps others from being so."""

from __future__ import annotations

from gmemgpu.model.metric import Metric

__all__ = ["BLOCKING_PAGES", "RMP_FIGURES", "RMP_FIGURE_NAMES"]

BLOCKING_PAGES = (1, 16, 512)
"""A region is nearly free if at most so many of its pages are assigned: a page, an allocator's batch, a block."""

RMP_FIGURES = (
    Metric("rmp_images", "count", "images that count: after the warm-up, before the horizon, with SNP on"),
    Metric("rmp_regions", "regions", "regions that are not wholly in a hole, summed over images"),
    Metric("rmp_free_regions", "regions", "those without an assigned page, summed over images"),
    Metric("rmp_free_regions_least", "regions", "the same of the image that has the fewest; -1 if none counts"),
    Metric("rmp_free_run_regions", "regions", "longest run of free regions side by side, summed over images"),
    *(
        metric
        for pages in BLOCKING_PAGES
        for metric in (
            Metric(
                f"rmp_blocked_{pages}_regions",
                "regions",
                f"those with 1 to {pages} assigned pages, summed over images"
                if pages > 1
                else "those with 1 assigned page, summed over images",
            ),
            Metric(
                f"rmp_blocked_{pages}_pages", "pages", "pages that would have to move to free those, summed likewise"
            ),
        )
    ),
)
"""Every figure, in the order of the result columns; the same for all policies of a trace."""

RMP_FIGURE_NAMES = tuple(figure.name for figure in RMP_FIGURES)
