// The dashboard's script: live parts, dialogs, forms that are checked while they are written, charts and times; all
// without inline code, so that the page's Content-Security-Policy needs neither 'unsafe-inline' nor 'unsafe-eval'.
// Everything that it does to a page is a page of its own without it.
//
// What the templates may use:
//   data-live                      with hx-get and hx-trigger="live": fetched again after every change of the server
//   data-kept                      with an id: left alone when the part around it is fetched again
//   data-dialog                    a link that opens in a dialog; data-close closes it
//   form[data-act]                 an act: sent without leaving the page; refusals and lost connections are shown in it
//   form[data-live-form=URL]       sent to URL while it is written, and put in place of itself
//   button[data-part=ID]           in such a form: sends it to its formaction and replaces the element ID
//   #connection                    a badge that says whether changes arrive
//   <div class="chart" data-series-url="...">          see charts.js for the JSON
//   <time datetime="..." [data-format="relative|left|elapsed"]>  shown in the reader's zone, UTC on hover
import htmx from "htmx.org";

import {drawCharts, redrawCharts} from "./charts.js";
import {openDialogs} from "./dialogs.js";
import {watchForms} from "./forms.js";
import {connect, newestChange} from "./live.js";
import {morphInto} from "./morph.js";
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

function decorate(root) {
  showTimes(within(root, "time[datetime]"));
  drawCharts(within(root, ".chart[data-series-url]"));
}

function refresh(decided) {
  for (const element of document.querySelectorAll("[data-live]")) {
    htmx.trigger(element, "live");
  }
  redrawCharts({fetch: true, decided});
}

// A live part is morphed, not replaced: focus, open details, selected text and charts stay as they are.
document.addEventListener("htmx:beforeSwap", (event) => {
  const {target, xhr} = event.detail;
  if (target.matches("[data-live]") && xhr.status === 200) {
    event.detail.shouldSwap = false;
    morphInto(target, xhr.response);
    const now = document.getElementById(target.id);
    htmx.process(now);
    decorate(now);
  }
});

// A session that has ended does not take the page away: what it shows stays, and says that it gets old.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.status === 401 && event.detail.elt.matches("[data-live]")) {
    event.preventDefault();
    sayThatSessionEnded();
  }
});

function sayThatSessionEnded() {
  if (document.querySelector(".signed-out")) {
    return;
  }
  const note = document.createElement("p");
  note.className = "signed-out";
  note.setAttribute("role", "alert");
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Sign in again";
  note.append("Your session has ended, and what this page shows gets old. ", link);
  document.body.prepend(note);
}

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (token) {
    event.detail.headers["X-CSRF-Token"] = token;
  }
  if (event.detail.elt.matches("[data-live]") && newestChange()) {
    event.detail.parameters.change = newestChange();
  }
});

// What is put on the page is finished before it is painted.
const arrivals = new MutationObserver((records) => {
  for (const node of records.flatMap(({addedNodes}) => [...addedNodes])) {
    if (node.nodeType === Node.ELEMENT_NODE && node.isConnected) {
      decorate(node);
    }
  }
});

document.addEventListener("DOMContentLoaded", () => {
  document.documentElement.classList.add("scripted");
  decorate(document.body);
  arrivals.observe(document.body, {childList: true, subtree: true});
  document.querySelector(".places [aria-current]")?.scrollIntoView({block: "nearest", inline: "nearest"});
  openDialogs();
  watchForms();
  for (const field of document.querySelectorAll("[data-zone]")) {
    if (field.value === "UTC") {
      field.value = Intl.DateTimeFormat().resolvedOptions().timeZone; // times are written in the reader's zone
    }
  }
  const badge = document.getElementById("connection");
  if (document.body.dataset.events) {
    connect({url: document.body.dataset.events, badge, refresh});
  }
});
