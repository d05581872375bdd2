// Charts of success per cent over time. A chart's URL answers:
//   {"times": [s, ...], "series": [{"label", "values": [percent | null, ...], "kind": "canary" | "control" | "line"}],
//    "line": 95, "bands": [{"series": [upper, lower]}], "markers": [{"time": s, "label"}]}
// Times are seconds since the Unix epoch; a band names two entries of `series` by position, counted from 0.
import uPlot from "uplot";

import {localTime, utcTime} from "./times.js";

const HEIGHT = 220;
const DASH = [6, 4];
const SHADES = {canary: ["--canary", "--canary-2", "--canary-3"], control: ["--control", "--control-2", "--control-3"]};

const charts = new Map(); // element -> {data, plot, request}
const dark = matchMedia("(prefers-color-scheme: dark)");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${value.toFixed(1)} %`;
}

/** 90..100 while all is well, 80..100 below that, and further down only as far as the figures go. */
function successRange(data) {
  let low = data.line ?? 95;
  for (const {values} of data.series) {
    for (const value of values) {
      low = value === null ? low : Math.min(low, value);
    }
  }
  const floors = [90, 80, 60, 40, 20];
  return [floors.find((floor) => low >= floor + 1) ?? 0, 100];
}

function seriesOptions(series) {
  const seen = {canary: 0, control: 0};
  return series.map(({label, kind}) => {
    const base = {label, value: (_, value) => percent(value), spanGaps: false, points: {size: 4}};
    if (!(kind in SHADES)) {
      return {...base, stroke: colour("--line"), width: 1, dash: DASH, points: {show: false}};
    }
    const shade = SHADES[kind][seen[kind]++ % SHADES[kind].length];
    return {...base, stroke: colour(shade), width: kind === "canary" ? 2.5 : 1.5};
  });
}

function drawLine(plot, level) {
  const {ctx, bbox} = plot;
  const y = plot.valToPos(level, "y", true);
  ctx.strokeStyle = ctx.fillStyle = colour("--line");
  ctx.setLineDash(DASH.map((step) => step * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.textAlign = "right";
  ctx.fillText(`${level} %`, bbox.left + bbox.width, y - 4 * devicePixelRatio);
}

function drawMarkers(plot, markers) {
  const {ctx, bbox} = plot;
  ctx.strokeStyle = ctx.fillStyle = colour("--marker");
  ctx.setLineDash([]);
  markers.forEach(({time, label}, index) => {
    const x = plot.valToPos(time, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) {
      return;
    }
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    // Three rows, so that the labels of neighbours stay readable.
    const right = x > bbox.left + bbox.width * 0.8;
    ctx.textAlign = right ? "right" : "left";
    ctx.fillText(
      label,
      x + (right ? -4 : 4) * devicePixelRatio,
      bbox.top + bbox.height - (6 + (index % 3) * 14) * devicePixelRatio,
    );
  });
}

function drawExtras(plot, data) {
  const {ctx, bbox} = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineWidth = devicePixelRatio;
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  if (typeof data.line === "number") {
    drawLine(plot, data.line);
  }
  drawMarkers(plot, data.markers ?? []);
  ctx.restore();
}

/** Every series' newest figure in the legend; the newest moments of one may still be empty. */
function showNewest(plot) {
  const newest = (values) => {
    let index = values.length - 1;
    while (index > 0 && (values[index] === null || values[index] === undefined)) {
      index -= 1;
    }
    return index;
  };
  plot.setLegend({idxs: plot.data.map(newest)}, false);
}

function options(element, data) {
  const axis = {stroke: colour("--muted"), grid: {stroke: colour("--rule"), width: 1}, ticks: {show: false}};
  return {
    width: Math.max(element.clientWidth, 200),
    height: HEIGHT,
    cursor: {drag: {x: false, y: false}},
    scales: {x: {time: true}, y: {range: () => successRange(data)}},
    series: [
      {label: "time", value: (_, s) => (s ? `${localTime(new Date(s * 1000))} (${utcTime(new Date(s * 1000))})` : "–")},
      ...seriesOptions(data.series),
    ],
    bands: (data.bands ?? []).map(({series}) => ({series: series.map((n) => n + 1), fill: colour("--band")})),
    axes: [
      {...axis, space: 90, size: 28, values: (_, ticks) => ticks.map((tick) => localTime(new Date(tick * 1000)))},
      {...axis, size: 48, values: (_, ticks) => ticks.map((tick) => `${tick} %`)},
    ],
    hooks: {
      draw: [(plot) => drawExtras(plot, data)],
      // With no pointer over it (a phone, mostly) the legend shows the newest figures.
      setCursor: [(plot) => plot.cursor.idx === null && showNewest(plot)],
    },
  };
}

function say(element, text) {
  const note = document.createElement("p");
  note.className = "empty";
  note.textContent = text;
  element.replaceChildren(note);
}

function summary(series) {
  const newest = series.map(({label, values}) => `${label} ${percent(values.findLast?.((v) => v !== null))}`);
  return `Success over time. Newest: ${newest.join(", ")}`;
}

function draw(element, chart) {
  chart.plot?.destroy();
  chart.plot = null;
  const {data} = chart;
  if (!data.times.length) {
    say(element, "No outcomes in this period yet.");
    return;
  }
  element.replaceChildren();
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", summary(data.series));
  chart.plot = new uPlot(options(element, data), [data.times, ...data.series.map(({values}) => values)], element);
  showNewest(chart.plot);
}

async function load(element, chart) {
  chart.request?.abort();
  chart.request = new AbortController();
  try {
    const response = await fetch(element.dataset.seriesUrl, {
      headers: {Accept: "application/json"},
      signal: chart.request.signal,
    });
    if (!response.ok) {
      throw new Error(`the server answered ${response.status}`);
    }
    chart.data = await response.json();
    draw(element, chart);
  } catch (error) {
    if (error.name !== "AbortError" && !chart.plot) {
      say(element, `The chart is not available: ${error.message}.`);
    }
  }
}

const resized = new ResizeObserver((entries) => {
  for (const {target, contentRect} of entries) {
    const plot = charts.get(target)?.plot;
    if (plot && Math.abs(plot.width - contentRect.width) > 1) {
      plot.setSize({width: Math.max(contentRect.width, 200), height: HEIGHT});
    }
  }
});

/** Begin to draw charts that have just appeared on the page. */
export function drawCharts(elements) {
  for (const element of elements) {
    if (!charts.has(element)) {
      charts.set(element, {data: null, plot: null, request: null});
      resized.observe(element);
      load(element, charts.get(element));
    }
  }
}

/** Draw every chart again, with new figures (`fetch`) or with the ones at hand. */
export function redrawCharts({fetch: again}) {
  for (const [element, chart] of charts) {
    if (!element.isConnected) {
      chart.plot?.destroy();
      resized.unobserve(element);
      charts.delete(element);
    } else if (again) {
      load(element, chart);
    } else if (chart.data) {
      draw(element, chart);
    }
  }
}

dark.addEventListener("change", () => redrawCharts({fetch: false}));
