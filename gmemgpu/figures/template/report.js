"use strict";
(() => {
  const { config, charts } = JSON.parse(document.getElementById("charts").textContent);
  const places = [...document.querySelectorAll("[data-chart]")];
  const WIDE_PX = 590;

  async function draw(place) {
    const chart = charts[place.dataset.chart];
    const form = place.clientWidth >= WIDE_PX ? "wide" : "narrow";
    if (place.dataset.form === form) return;
    place.dataset.form = form;
    const spec = { config, background: null, padding: 4, data: chart.data, ...chart[form] };
    // Expressions are interpreted: the page forbids itself to make code of text.
    await vegaEmbed(place, spec, { renderer: "svg", actions: false, ast: true });
    const svg = place.querySelector("svg");
    // The place says in one sentence what the chart shows; its parts one by one would take an hour to listen to.
    svg.setAttribute("aria-hidden", "true");
  }

  async function drawAll() {
    for (const place of places) await draw(place);
    document.documentElement.dataset.drawn = places.length;
  }

  function valueOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent;
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  }

  function sort(table, head) {
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [valueOf(a, column), valueOf(b, column)];
      // What does not exist is last in either direction.
      if (x === null || y === null) return (x === null) - (y === null);
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
    });
    table.tBodies[0].append(...rows);
  }

  for (const button of document.querySelectorAll("table.sortable thead button")) {
    button.addEventListener("click", () => sort(button.closest("table"), button.parentNode));
  }
  let later;
  addEventListener("resize", () => { clearTimeout(later); later = setTimeout(drawAll, 200); });
  drawAll();
})();
