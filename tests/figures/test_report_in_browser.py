"""A report in a real Chromium: it is drawn, asks nobody for anything, sorts, and answers a pointer."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gmemgpu.cli.main import main

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = [
    name
    for name, there in (
        ("vl-convert", find_spec("vl_convert")),
        ("selenium", find_spec("selenium")),
        ("chromium", CHROMIUM),
        ("chromedriver", DRIVER),
    )
    if not there
]

pytestmark = [
    pytest.mark.skipif(bool(MISSING) and not os.environ.get("CI"), reason=f"{', '.join(MISSING)}: not here"),
    pytest.mark.xdist_group("browser"),
]


@pytest.fixture(scope="module")
def report(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "r.html"
    assert main(["report", str(store), "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chrome]:
    from selenium import webdriver

    assert not MISSING
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


Opened = Callable[..., "Chrome"]


@pytest.fixture(scope="module")
def opened(chromium: Chrome, report: Path) -> Opened:
    shown: tuple[int, str, str] | None = None

    def load(width: int, scheme: str, media: str) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        chromium.get(report.as_uri())
        for _ in range(600):
            if chromium.execute_script("return document.documentElement.dataset.drawn"):
                return
            time.sleep(0.05)
        raise AssertionError("nothing was drawn in half a minute")

    def open_page(
        width: int = 1280, scheme: str = "light", media: str = "screen", *, anew: bool = False, changes: bool = False
    ) -> Chrome:
        # To load it takes two seconds: the one that is there stays, if no test has changed it.
        nonlocal shown
        wanted = (width, scheme, media)
        if anew or shown != wanted:
            shown = None
            load(*wanted)
        shown = None if changes else wanted
        return chromium

    return open_page


def requests(driver: Chrome) -> list[str]:
    events: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def test_all_is_drawn_without_a_complaint_or_a_request(opened: Opened, report: Path) -> None:
    driver = opened(anew=True)
    assert driver.get_log("browser") == []
    assert requests(driver) == [report.as_uri()]
    marks = driver.execute_script(
        "return [...document.querySelectorAll('[data-chart]')].map(place => place.querySelectorAll('svg path').length)"
    )
    assert len(marks) == 13
    assert min(marks) > 5
    assert driver.execute_script("return document.querySelectorAll('svg text').length") > 100
    # The tag that is a policy's name is text everywhere.
    assert driver.execute_script("return document.scripts.length") == 3


def test_a_point_tells_its_figures_when_pointed_at(opened: Opened, hostile: str) -> None:
    from selenium.webdriver import ActionChains

    driver = opened(changes=True)
    told = set()
    for point in driver.find_elements("css selector", "#pareto [data-chart] .mark-symbol path"):
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
        ActionChains(driver).move_to_element(point).perform()
        text = driver.find_element("id", "vg-tooltip-element").text
        assert "core-s" in text
        assert "benefit" in text
        told.add(text)
    assert any("beaten by" in text and "refcount" in text for text in told)
    assert any(hostile in text for text in told)


@pytest.mark.parametrize(
    ("scheme", "media", "is_dark"), [("dark", "screen", 1), ("dark", "print", 0), ("light", "screen", 0)]
)
def test_letters_stand_out_in_light_dark_and_print(opened: Opened, scheme: str, media: str, is_dark: int) -> None:
    driver = opened(scheme=scheme, media=media)
    ground, page, axis = (
        driver.execute_script(f"return getComputedStyle(document.querySelector('{where}')).{what}")
        for where, what in (("body", "backgroundColor"), ("body", "color"), (".role-axis-label text", "fill"))
    )

    def light(colour: str) -> float:
        return sum(map(float, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 765

    assert (light(ground) < 0.2) == is_dark
    assert abs(light(ground) - light(page)) > 0.7
    assert abs(light(ground) - light(axis)) > 0.7


def test_a_figure_stays_beside_its_unit(opened: Opened) -> None:
    driver = opened()
    apart = "[0-9] (%|ns|µs|ms|s|min|h|GiB|core-s)( |$)"
    lines = driver.execute_script(
        "return [...document.querySelectorAll('.headline, #answer p, .how, td, #method li')].map(e => e.textContent)"
    )
    assert sum("\u00a0" in line for line in lines) > 10
    assert [line for line in lines if re.search(apart, line)] == []
    # Whatever else breaks, no interval and no figure does.
    assert driver.execute_script(
        "return [...document.querySelectorAll('td span')].every(e => e.getClientRects().length === 1)"
    )


@pytest.mark.parametrize(("width", "form"), [(1280, "wide"), (390, "narrow")])
def test_nothing_is_wider_than_the_screen(opened: Opened, width: int, form: str) -> None:
    driver = opened(width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert (
        driver.execute_script(
            "return new Set([...document.querySelectorAll('[data-chart]')].map(p => p.dataset.form)).size"
        )
        == 1
    )
    assert driver.execute_script("return document.querySelector('[data-chart]').dataset.form") == form


def test_tables_fit_a_screen_and_scroll_beside_their_names_on_a_phone(opened: Opened) -> None:
    hidden = "return Math.max(...[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth))"
    driver = opened(390, changes=True)
    assert driver.execute_script(hidden) > 0
    driver.execute_script("document.querySelectorAll('.scroll').forEach(e => e.scrollLeft = 300)")
    name, figure, edge = driver.execute_script(
        "const row = document.querySelector('tbody tr');"
        "return [row.cells[0], row.cells[1], row.closest('.scroll')].map(e => e.getBoundingClientRect().left)"
    )
    assert name == edge
    assert figure < name
    assert opened(1280).execute_script(hidden) == 0


def test_a_heading_sorts_by_number_both_ways_and_says_so(opened: Opened) -> None:
    driver = opened(changes=True)

    def column(i: int) -> list[str]:
        found: list[str] = driver.execute_script(
            "const rows = [...document.querySelector('table').tBodies[0].rows];"
            "return rows.map(row => row.cells[arguments[0]].textContent)",
            i,
        )
        return found

    names = column(0)
    button = driver.find_elements("css selector", "table thead button")[1]
    button.click()
    shares = [float(text.split("\u00a0%")[0].strip("<")) for text in column(1)]
    assert shares == sorted(shares)
    assert column(0) != names
    assert sorted(column(0)) == sorted(names)
    assert (
        driver.execute_script("return document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "ascending"
    )
    # By keyboard, the other way.
    button.send_keys("\n")
    assert [float(text.split("\u00a0%")[0].strip("<")) for text in column(1)] == shares[::-1]
    assert driver.execute_script("return document.querySelectorAll('th[aria-sort=descending]').length") == 1
    # Under never nothing has a latency: last, both ways.
    for _ in range(2):
        driver.find_elements("css selector", "table thead button")[4].click()
        assert column(4)[-1] == "–"
