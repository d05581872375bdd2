// Forms that are checked while they are written: the server reads what is there so far and draws the form anew around
// it. What the reader is just writing in is left alone.
import {morphInto} from "./morph.js";
import {part, trouble} from "./requests.js";

const PAUSE_MS = 350;
const pending = new Map(); // form id -> {timer, request}

function state(form) {
  if (!pending.has(form.id)) {
    pending.set(form.id, {timer: null, request: null});
  }
  return pending.get(form.id);
}

async function send(form, url, {edited, submitter, target}) {
  const mine = state(form);
  clearTimeout(mine.timer);
  mine.request?.abort();
  mine.request = new AbortController();
  const element = document.getElementById(target);
  element.setAttribute("aria-busy", "true");
  try {
    const named = edited ? {name: "edited", value: edited} : submitter;
    const response = await part(url, {form, submitter: named, signal: mine.request.signal});
    const note = form.querySelector(".unreachable");
    if (note) {
      note.hidden = true;
    }
    if (response.status < 500) {
      morphInto(document.getElementById(target), await response.text());
    }
  } catch (error) {
    const note = form.querySelector(".unreachable");
    if (note && trouble(error)) {
      note.textContent = trouble(error);
      note.hidden = false;
    }
  } finally {
    document.getElementById(target)?.removeAttribute("aria-busy");
  }
}

function changed(event) {
  const form = event.target.closest?.("form[data-live-form]");
  if (!form || event.target.name === "reason" || event.target.closest("#add, .passive")) {
    return;
  }
  const edited = event.target.closest("[data-edited]")?.dataset.edited;
  if (form.id === "draft" && !edited) {
    return; // the traffic of a forecast changes no side of the plan
  }
  clearTimeout(state(form).timer);
  const wait = event.type === "change" && event.target.matches("select") ? 0 : PAUSE_MS;
  state(form).timer = setTimeout(() => send(form, form.dataset.liveForm, {edited, target: form.id}), wait);
}

/** Let forms of the page be checked while they are written. */
export function watchForms() {
  document.addEventListener("input", changed);
  document.addEventListener("change", changed);
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.matches("form[data-live-form]") && button?.dataset.part) {
      event.preventDefault();
      send(event.target, button.formAction, {submitter: button, target: button.dataset.part});
    }
  });
}
