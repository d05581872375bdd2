// The dashboard's script: live fragments, charts and times, all without inline code so that the page's
// Content-Security-Policy needs neither 'unsafe-inline' nor 'unsafe-eval'.
//
// What the templates may use:
//   data-live                      with hx-get and hx-trigger="live": fetched again after every change of the server
//   #connection                    a badge that says whether changes arrive
//   <div class="chart" data-series-url="...">          see charts.js for the JSON
//   <time datetime="..." [data-format="relative"]>     shown in the reader's zone, UTC on hover
//   <div class="bar" data-percent="12.5"><span></span></div>   a share; `style=` attributes are forbidden by the policy
import htmx from "htmx.org";

import {drawCharts, redrawCharts} from "./charts.js";
import {connect} from "./live.js";
import {showTimes} from "./times.js";

Object.assign(htmx.config, {
  allowEval: false,
  allowScriptTags: false,
  historyCacheSize: 0,
  includeIndicatorStyles: false,
  selfRequestsOnly: true,
});

function within(root, selector) {
  const found = [...root.querySelectorAll(selector)];
  return root.matches(selector) ? [root, ...found] : found;
}

function showBars(root) {
  for (const bar of within(root, ".bar[data-percent]")) {
    const percent = Math.min(100, Math.max(0, Number(bar.dataset.percent) || 0));
    if (bar.firstElementChild) {
      bar.firstElementChild.style.width = `${percent}%`;
    }
  }
}

function refresh() {
  for (const element of document.querySelectorAll("[data-live]")) {
    htmx.trigger(element, "live");
  }
  redrawCharts({fetch: true});
}

function decorate(root) {
  showTimes(within(root, "time[datetime]"));
  showBars(root);
  drawCharts(within(root, ".chart[data-series-url]"));
}

// Fragments are finished before they are painted; htmx's own load event comes a few frames later and would flicker.
const arrivals = new MutationObserver((records) => {
  for (const node of records.flatMap(({addedNodes}) => [...addedNodes])) {
    if (node.nodeType === Node.ELEMENT_NODE && node.isConnected) {
      decorate(node);
    }
  }
});

document.addEventListener("DOMContentLoaded", () => {
  decorate(document.body);
  arrivals.observe(document.body, {childList: true, subtree: true});
  const badge = document.getElementById("connection");
  if (badge || document.querySelector("[data-live], .chart[data-series-url]")) {
    connect({url: document.body.dataset.events || "/events", badge, refresh});
  }
});
