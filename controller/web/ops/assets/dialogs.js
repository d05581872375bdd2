// Confirmations: a link with data-dialog opens in the page's one dialog, and an act in it is sent without leaving.
import {part, trouble} from "./requests.js";

const NAVIGATING = ["ctrlKey", "metaKey", "shiftKey", "altKey"];

function dialog() {
  return document.getElementById("dialog");
}

function body() {
  return document.getElementById("dialog-body");
}

function show(html) {
  body().innerHTML = html; // markup of our own server, escaped there; the page's policy forbids any script in it
  const title = body().querySelector("h2");
  dialog().setAttribute("aria-label", title ? title.textContent : "Confirmation");
  if (!dialog().open) {
    dialog().showModal();
  }
  // Not the reason where it can be had by a tap: on a phone its keyboard would cover what there is to read.
  (body().querySelector("[autofocus]") ?? body().querySelector(".chip, a, button"))?.focus();
}

async function open(link) {
  link.setAttribute("aria-busy", "true");
  try {
    const response = await part(link.href);
    if (response.status === 401) {
      location.assign(link.href); // leads to the way in, and from there back to this very confirmation
      return;
    }
    show(await response.text());
  } catch {
    location.assign(link.href); // the browser says best what is wrong with the line
  } finally {
    link.removeAttribute("aria-busy");
  }
}

function tell(form, text) {
  const note = form.querySelector(".unreachable");
  if (note) {
    note.textContent = text;
    note.hidden = !text;
    note.scrollIntoView({block: "nearest"});
  }
}

async function act(form, submitter) {
  tell(form, "");
  const buttons = [...form.querySelectorAll("button[type=submit], button:not([type])")];
  buttons.forEach((button) => (button.disabled = true));
  try {
    const response = await part(form.action, {form, submitter});
    const next = response.headers.get("HX-Redirect");
    if (response.status === 401) {
      tell(form, "Your session has ended, and nothing was done. Sign in again in another tab, then repeat this here.");
    } else if (next) {
      location.assign(next);
      return; // the buttons stay as they are: it has been done
    } else if (response.status >= 500) {
      tell(form, `The controller answered ${response.status}. It may or may not have been done: look at the rollout.`);
    } else if (dialog().contains(form)) {
      show(await response.text());
    } else {
      const container = document.createElement("div");
      container.innerHTML = await response.text();
      form.replaceWith(...container.childNodes);
    }
  } catch (error) {
    tell(form, trouble(error));
  }
  buttons.forEach((button) => (button.disabled = false));
}

/** Let links and acts of the page work in dialogs from now on. */
export function openDialogs() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-dialog]");
    if (link && !NAVIGATING.some((key) => event[key]) && event.button === 0) {
      event.preventDefault();
      open(link);
    }
    if (event.target.closest?.("[data-close]") && dialog().open) {
      event.preventDefault();
      dialog().close();
    }
    const copy = event.target.closest?.("[data-copy]");
    if (copy) {
      const field = document.getElementById(copy.dataset.copy);
      field.select();
      navigator.clipboard?.writeText(field.value).then(() => (copy.textContent = "Copied"));
    }
    const chip = event.target.closest?.("[data-fill]");
    if (chip) {
      const field = document.getElementById(chip.parentElement.dataset.fills);
      field.value = chip.dataset.fill;
      field.focus();
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-act]")) {
      event.preventDefault();
      act(event.target, event.submitter);
    }
  });
  // A tap beside the dialog closes it; a tap inside does not reach the dialog itself.
  dialog().addEventListener("click", (event) => event.target === dialog() && dialog().close());
}
