// Charts over time. A chart's URL answers:
//   {"times": [s, ...], "series": [{"label", "values": [number | null, ...], "kind": "canary" | "control" | "line"}],
//    "line": 95, "bands": [{"series": [upper, lower]}], "markers": [{"time": s, "label"}],
//    "stages": [{"from": s, "until": s, "share_percent": 10}]}
// Times are seconds since the Unix epoch; a band names two entries of `series` by position, counted from 0. What the
// figures are is said by the element: data-shape is `success` (the default), `evidence` or `latency`.
import uPlot from "uplot";

import {axisTime, localTime, utcTime} from "./times.js";

const HEIGHT = 200;
const DASH = [6, 4];
const FETCH_GAP_MS = 10000; // a window of figures is ten seconds long; decisions are shown at once
const SHADES = {canary: ["--canary", "--canary-2", "--canary-3"], control: ["--control", "--control-2", "--control-3"]};

const charts = new Map(); // element -> {data, plot, request}
const dark = matchMedia("(prefers-color-scheme: dark)");

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function percent(value) {
  return value === null || value === undefined ? "–" : `${value.toFixed(1)} %`;
}

function milliseconds(value) {
  return value === null || value === undefined ? "–" : `${Math.round(value)} ms`;
}

function highest(data) {
  return Math.max(0, ...data.series.flatMap(({values}) => values.filter((value) => value !== null)));
}

const SHAPES = {
  success: {say: percent, tick: (tick) => `${tick} %`, range: successRange, title: "Success over time"},
  evidence: {
    say: percent,
    tick: (tick) => `${tick} %`,
    range: (data) => [0, Math.max(110, highest(data) * 1.05)],
    title: "Evidence over time, in per cent of the line that convicts",
  },
  latency: {
    say: milliseconds,
    tick: (tick) => `${tick} ms`,
    range: (data) => [0, Math.max(10, highest(data) * 1.1)],
    title: "Mean time to delivery",
  },
};

function shapeOf(element) {
  return SHAPES[element.dataset.shape] ?? SHAPES.success;
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

function seriesOptions(series, say) {
  const seen = {canary: 0, control: 0};
  return series.map(({label, kind}) => {
    const base = {label, value: (_, value) => say(value), spanGaps: false, points: {size: 4}};
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

/** Every other stage has a ground of its own; the markers at its ends say its share. */
function drawStages(plot, stages) {
  const {ctx, bbox} = plot;
  stages.forEach(({from, until}, index) => {
    const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(until, "x", true));
    if (right <= left) {
      return;
    }
    if (index % 2 === 0) {
      ctx.fillStyle = colour("--band");
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
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
  drawStages(plot, data.stages ?? []);
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
  const shape = shapeOf(element);
  const axis = {stroke: colour("--muted"), grid: {stroke: colour("--rule"), width: 1}, ticks: {show: false}};
  return {
    width: Math.max(element.clientWidth, 200),
    height: HEIGHT,
    cursor: {drag: {x: false, y: false}},
    scales: {x: {time: true}, y: {range: () => shape.range(data)}},
    series: [
      {label: "time", value: (_, s) => (s ? `${localTime(new Date(s * 1000))} (${utcTime(new Date(s * 1000))})` : "–")},
      ...seriesOptions(data.series, shape.say),
    ],
    bands: (data.bands ?? []).map(({series}) => ({series: series.map((n) => n + 1), fill: colour("--band")})),
    axes: [
      {...axis, space: 70, size: 28, values: (plot, ticks) => ticks.map((tick) => axisTime(tick, plot.scales.x))},
      {...axis, size: 52, values: (_, ticks) => ticks.map(shape.tick)},
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

function summary(element, series) {
  const {say: words, title} = shapeOf(element);
  const newest = series.map(({label, values}) => `${label} ${words(values.findLast?.((v) => v !== null))}`);
  return `${title}. Newest: ${newest.join(", ")}`;
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
  element.setAttribute("aria-label", summary(element, data.series));
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
    const data = await response.json();
    chart.fetchedAt = Date.now();
    if (JSON.stringify(data) !== JSON.stringify(chart.data)) {
      chart.data = data;
      draw(element, chart);
    }
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
      charts.set(element, {data: null, plot: null, request: null, fetchedAt: 0});
      resized.observe(element);
      load(element, charts.get(element));
    }
  }
}

/** Draw every chart again, with new figures (`fetch`; at once where something was `decided`) or with those at hand. */
export function redrawCharts({fetch: again, decided = false}) {
  for (const [element, chart] of charts) {
    if (!element.isConnected) {
      chart.plot?.destroy();
      resized.unobserve(element);
      charts.delete(element);
    } else if (again) {
      if (decided || Date.now() - chart.fetchedAt >= FETCH_GAP_MS) {
        chart.fetchedAt = Date.now();
        load(element, chart);
      }
    } else if (chart.data) {
      draw(element, chart);
    }
  }
}

dark.addEventListener("change", () => redrawCharts({fetch: false}));
