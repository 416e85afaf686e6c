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

  const DAY = 86400; // seconds
  const SHORTEST_SPAN = 60; // seconds that a chart of lags has at least
  const NOTHING = "–";
  const COLORS = ["--series-0", "--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
  const POWERS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
  // Numbers of events are whole, and so are the steps of their axis.
  const STEPS = [...POWERS, ...POWERS.map((each) => 2 * each), ...POWERS.map((each) => 5 * each)];
  STEPS.sort((one, other) => one - other);

  function readColor(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // Moments are in UTC, as everywhere.
  function showMoment(seconds) {
    return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
  }

  // A label of the axis of time: a date, or a time of day; at midnight, the month and the day.
  function showTick(seconds, step) {
    const text = showMoment(seconds);
    if (step >= DAY) return text.slice(0, 10);
    const time = step < 60 ? text.slice(11) : text.slice(11, 16);
    return time.startsWith("00:00") ? text.slice(5, 10) : time;
  }

  // A series has `name`, `values` as they are drawn, and `shown` as the legend tells them.
  function draw(place, starts, series, isBars) {
    place.replaceChildren();
    if (!starts.length) return;
    const time = {
      label: "Time (UTC)",
      value: (_plot, seconds) => seconds == null ? NOTHING : showMoment(seconds),
    };
    const options = {
      width: place.clientWidth,
      height: 200,
      series: [time, ...styleAll(series, isBars)],
      axes: makeAxes(),
      scales: makeScales(starts, isBars),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    };
    new uPlot(options, [starts, ...series.map((each) => each.values)], place);
  }

  // The last series has the first color: bars are drawn from the top of a stack down.
  function styleAll(series, isBars) {
    return series.map((each, index) => styleSeries(each, series.length - 1 - index, isBars));
  }

  function styleSeries(series, number, isBars) {
    const color = readColor(COLORS[number % COLORS.length]);
    const shape = isBars
      ? { width: 0, fill: color, paths: uPlot.paths.bars({ size: [0.8, 40], radius: 0.2 }) }
      : { width: 2 };
    return {
      ...shape,
      label: series.name,
      stroke: color,
      points: { show: !isBars },
      value: (_plot, _value, _series, index) => String(series.shown[index] ?? NOTHING),
    };
  }

  function makeAxes() {
    const line = { stroke: readColor("--line"), width: 1 };
    const axis = { stroke: readColor("--muted"), grid: line, ticks: line, font: "12px system-ui" };
    const showTicks = (_plot, ticks, _axis, _space, step) =>
      ticks.map((each) => showTick(each, step));
    return [
      { ...axis, space: 70, values: showTicks },
      { ...axis, size: 46, incrs: STEPS },
    ];
  }

  function makeScales(starts, isBars) {
    const first = starts[0], last = starts.at(-1);
    const span = [first, Math.max(last, first + SHORTEST_SPAN)];
    return {
      x: { range: (_plot, low, high) => isBars ? [low, high] : span },
      y: { range: (_plot, _low, high) => [0, Math.max(high, 1) * 1.08] },
    };
  }

  // Later series stand on earlier ones, and are drawn first.
  function stack(series) {
    const sums = [];
    const total = new Array(series[0]?.values.length ?? 0).fill(0);
    for (const each of series) {
      each.values.forEach((value, index) => { total[index] += value; });
      sums.unshift({ name: each.name, values: [...total], shown: each.values });
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
    const sums = stack(series);
    const show = () => draw(place, starts, sums, true);
    show();
    keepFitting(place, show);
  }

  function followLags(place) {
    const starts = [], series = [];
    const show = () => draw(place, starts, series, false);
    async function ask() {
      if (document.hidden) return;
      const answer = await fetch(place.dataset.follow).catch(() => null);
      if (!answer?.ok) return;
      const lags = await answer.json();
      for (const name of Object.keys(lags)) {
        if (series.some((each) => each.name === name)) continue;
        const values = starts.map(() => null);
        series.push({ name, values, shown: values });
      }
      starts.push(Date.now() / 1000);
      for (const each of series) each.values.push(lags[each.name] ?? null);
      if (starts.length > MOST_POINTS) {
        starts.shift();
        for (const each of series) each.values.shift();
      }
      show();
    }
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
    for (const [name, size] of [["day", DAY], ["hour", 3600], ["minute", 60]]) {
      if (seconds >= size) return `${seconds / size} ${name}${seconds === size ? "" : "s"}`;
    }
    return `${seconds} second${seconds === 1 ? "" : "s"}`;
  }

  // Lists

  const findEvent = (row) => row?.querySelector("a.id")?.href;

  // An event that was pushed while the page was made is on it, and is told of, too.
  function isShownBelow(row) {
    const event = findEvent(row);
    return event && [...row.parentElement.children].some((each) => each !== row && findEvent(each) === event);
  }

  let arrived = 0;
  document.addEventListener("htmx:sse:after:message", (event) => {
    const rows = event.target.closest("[data-live]");
    if (!rows) return;
    if (isShownBelow(rows.firstElementChild)) {
      rows.firstElementChild.remove();
      return;
    }
    while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
    if (!rows.firstElementChild?.matches(".gap")) arrived += 1;
    document.querySelector(".empty")?.remove();
    const note = document.querySelector("[data-live-note]");
    if (note) note.textContent = `live · ${arrived} new`;
  });

  // Parts of pages are left as they are where an answer is an error: the page itself says it.
  document.addEventListener("htmx:before:response", (event) => {
    const { sourceElement, request, response } = event.detail.ctx;
    if (response.status < 400 || !sourceElement.hasAttribute("hx-select")) return;
    event.preventDefault();
    location.assign(request.action);
  });

  function showChosen() {
    const chosen = document.querySelector(".history [aria-current]");
    const list = chosen?.closest("ol");
    if (list) list.scrollTop = chosen.offsetTop - list.clientHeight / 2;
    const mark = document.querySelector(".timeline .chosen");
    const strip = mark?.closest(".scroll");
    if (strip) strip.scrollLeft = mark.cx.baseVal.value / mark.ownerSVGElement.viewBox.baseVal.width * strip.scrollWidth - strip.clientWidth / 2;
  }

  // On a phone, the pages are a strip that is wider than the screen.
  function showPage() {
    const page = document.querySelector(".side nav [aria-current]");
    const strip = page?.closest("nav");
    if (strip) strip.scrollLeft = page.offsetLeft - (strip.clientWidth - page.offsetWidth) / 2;
  }

  document.addEventListener("htmx:after:swap", () => {
    showChosen();
    // The slider follows links of the timeline.
    const version = new URLSearchParams(location.search).get("version");
    const slider = document.getElementById("version");
    if (slider && version && document.activeElement !== slider) slider.value = version;
  });

  // The script is at the end of the page: the rest is there.
  document.querySelectorAll("[data-chart]").forEach(drawRates);
  document.querySelectorAll("[data-follow]").forEach(followLags);
  showChosen();
  showPage();
})();
