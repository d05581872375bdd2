// Forms that are checked while they are written: the server reads what is there so far and draws the form anew around
// it. What the reader is just writing in is left alone.
import {morphInto} from "./morph.js";
import {part, trouble} from "./requests.js";

const PAUSE_MS = 350;
const ENDED = "Your session has ended. Sign in again in another tab, then go on here: nothing you wrote is lost.";
const pending = new Map(); // form id -> {timer, request}

function state(form) {
  if (!pending.has(form.id)) {
    pending.set(form.id, {timer: null, request: null});
  }
  return pending.get(form.id);
}

/** The markup of the answer, or the problem to tell; null where a newer request has taken the place of this one. */
async function ask(url, options) {
  try {
    const response = await part(url, options);
    const html = await response.text();
    return response.status < 500 && response.status !== 401
      ? {html, problem: ""}
      : {html: "", problem: response.status === 401 ? ENDED : `The controller answered ${response.status}.`};
  } catch (error) {
    return {html: "", problem: trouble(error) || null};
  }
}

async function send(form, url, {edited, submitter, target}) {
  const mine = state(form);
  clearTimeout(mine.timer);
  mine.request?.abort();
  mine.request = new AbortController();
  const element = document.getElementById(target);
  element.setAttribute("aria-busy", "true");
  const named = edited ? {name: "edited", value: edited} : submitter;
  const {html, problem} = await ask(url, {form, submitter: named, signal: mine.request.signal});
  if (html) {
    morphInto(document.getElementById(target), html);
  }
  const note = document.getElementById(form.id).querySelector(".unreachable");
  if (note && problem !== null) {
    note.textContent = problem;
    note.hidden = !problem;
  }
  document.getElementById(target)?.removeAttribute("aria-busy");
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
