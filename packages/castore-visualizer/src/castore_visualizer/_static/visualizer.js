// What pages do beyond htmx: the theme, charts, and lists that grow. All pages work without it.
"use strict";
(() => {
  const MOST_ROWS = 200;
  const MOST_POINTS = 300;
  const FOLLOW_INTERVAL = 3000; // milliseconds

  // Theme

  const isDark = () =>
    (document.documentElement.dataset.theme ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("castore-theme", theme); } catch { /* it lasts for this page */ }
    document.dispatchEvent(new Event("castore:theme"));
  });

  // Charts

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const SERIES = ["--series-0", "--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];

  function draw(place, names, data, bars) {
    place.replaceChildren();
    if (!data[0].length) return null;
    const axis = {
      stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 },
      ticks: { stroke: color("--line"), width: 1 }, font: "12px system-ui",
    };
    const paths = bars ? uPlot.paths.bars({ size: [0.8, 40], radius: 0.2 }) : undefined;
    const series = names.map((label, index) => ({
      label, stroke: color(SERIES[index % SERIES.length]), width: bars ? 0 : 2,
      fill: bars ? color(SERIES[index % SERIES.length]) : undefined, paths, points: { show: false },
    }));
    return new uPlot({
      width: place.clientWidth, height: 200, series: [{}, ...series],
      axes: [axis, { ...axis, size: 46 }], cursor: { points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high, 1)] } },
    }, data, place);
  }

  // Later series stand on earlier ones, and are drawn first.
  function stack(series) {
    const sums = [];
    const total = new Array(series[0]?.values.length ?? 0).fill(0);
    for (const each of series) {
      each.values.forEach((value, index) => { total[index] += value; });
      sums.unshift({ name: each.name, values: [...total] });
    }
    return sums;
  }

  async function drawRates(place) {
    const answer = await fetch(place.dataset.chart);
    if (!answer.ok) return;
    const { step, starts, series } = await answer.json();
    const section = place.closest("section");
    section.hidden = starts.length === 0;
    const note = section.querySelector("[data-chart-note]");
    if (note) note.textContent = `The latest events of all stores, in steps of ${duration(step)}.`;
    const show = () => {
      const sums = stack(series);
      draw(place, sums.map((each) => each.name), [starts, ...sums.map((each) => each.values)], true);
    };
    show();
    keepFitting(place, show);
  }

  function followLags(place) {
    const names = [], data = [[]];
    async function ask() {
      const answer = await fetch(place.dataset.follow).catch(() => null);
      if (!answer?.ok || document.hidden) return;
      const lags = await answer.json();
      for (const name of Object.keys(lags)) {
        if (!names.includes(name)) { names.push(name); data.push(data[0].map(() => null)); }
      }
      data[0].push(Date.now() / 1000);
      names.forEach((name, index) => data[index + 1].push(lags[name] ?? null));
      if (data[0].length > MOST_POINTS) data.forEach((each) => each.shift());
      show();
    }
    const show = () => draw(place, names, data, false);
    ask();
    setInterval(ask, FOLLOW_INTERVAL);
    keepFitting(place, show);
  }

  function keepFitting(place, show) {
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(place.clientWidth - width) > 8) { width = place.clientWidth; show(); }
    }).observe(place);
    document.addEventListener("castore:theme", show);
  }

  function duration(seconds) {
    for (const [name, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (seconds >= size) return `${seconds / size} ${name}${seconds === size ? "" : "s"}`;
    }
    return `${seconds} second${seconds === 1 ? "" : "s"}`;
  }

  // Lists

  let arrived = 0;
  document.addEventListener("htmx:sse:after:message", (event) => {
    const rows = event.target.closest("[data-live]");
    if (!rows) return;
    while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
    arrived += 1;
    document.querySelector(".empty")?.remove();
    const note = document.querySelector("[data-live-note]");
    if (note) note.textContent = `live · ${arrived} new`;
  });

  function showChosen() {
    const chosen = document.querySelector(".history [aria-current]");
    const list = chosen?.closest("ol");
    if (list) list.scrollTop = chosen.offsetTop - list.clientHeight / 2;
  }

  document.addEventListener("htmx:after:swap", () => {
    showChosen();
    // The slider follows links of the timeline.
    const version = new URLSearchParams(location.search).get("version");
    const slider = document.getElementById("version");
    if (slider && version && document.activeElement !== slider) slider.value = version;
  });

  // The script is deferred: the page is there.
  document.querySelectorAll("[data-chart]").forEach(drawRates);
  document.querySelectorAll("[data-follow]").forEach(followLags);
  showChosen();
})();
