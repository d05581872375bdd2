// One stream of changes from the server. It carries names of changes only; what is shown is always fetched again.
import {localTime} from "./times.js";

const GAP_MS = 500; // a busy ramp changes several times a second; a reader needs two pictures a second at most
const RECONNECT_MS = 3000; // the browser retries by itself unless the server answered with an error
const STALE_MS = 30000; // a phone that slept longer than this may hold a dead connection

let newest = "";

/** The name of the last change that was heard of: whatever is drawn for it by the server shows it. */
export function newestChange() {
  return newest;
}

function showState(badge, connected, since) {
  document.body.classList.toggle("disconnected", !connected);
  if (!badge) {
    return;
  }
  badge.classList.remove("idle", "warn");
  badge.classList.toggle("ok", connected);
  badge.classList.toggle("bad", !connected);
  badge.setAttribute("role", "status");
  badge.textContent = connected ? "live" : `disconnected since ${localTime(since)}`;
  badge.title = connected ? "Changes arrive as they happen" : "The figures below may be old; trying to reconnect";
}

/** Follow `url`; call `refresh(decided)` after changes, after a reconnection and after the page has slept. */
export function connect({url, badge, refresh}) {
  let source = null;
  let retry = null;
  let pending = null;
  let lostAt = null;
  let heardAt = Date.now();
  let refreshedAt = 0;
  let revision = null;
  let decided = false;

  function refreshNow() {
    pending = null;
    refreshedAt = Date.now();
    refresh(decided);
    decided = false;
  }

  // The first change is shown at once, those that follow it closely together.
  function changed(event) {
    heardAt = Date.now();
    const told = JSON.parse(event.data);
    newest = told.change ?? "";
    decided = decided || (revision !== null && told.revision !== revision);
    revision = told.revision;
    if (pending === null) {
      pending = setTimeout(refreshNow, Math.max(0, refreshedAt + GAP_MS - Date.now()));
    }
  }

  function opened() {
    const missed = lostAt !== null;
    lostAt = null;
    heardAt = Date.now();
    showState(badge, true);
    if (missed) {
      newest = ""; // another process may answer now, to which the old names mean nothing
      decided = true;
      refreshNow();
    }
  }

  function failed() {
    lostAt = lostAt ?? new Date();
    showState(badge, false, lostAt);
    if (source.readyState === EventSource.CLOSED && retry === null) {
      retry = setTimeout(open, RECONNECT_MS);
      refresh(false); // if it is the session that has ended, the answer says so
    }
  }

  function open() {
    clearTimeout(retry);
    retry = null;
    source?.close();
    source = new EventSource(url);
    source.addEventListener("open", opened);
    source.addEventListener("change", changed);
    source.addEventListener("error", failed);
  }

  function reopen() {
    lostAt = lostAt ?? new Date(heardAt);
    open();
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - heardAt > STALE_MS) {
      reopen();
    }
  });
  window.addEventListener("online", reopen);
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => event.persisted && reopen());
  open();
}
