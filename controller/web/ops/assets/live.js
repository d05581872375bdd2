// One stream of changes from the server. It carries revisions only; what is shown is always fetched again.
import {localTime} from "./times.js";

const COALESCE_MS = 500; // a busy ramp changes several times a second; a reader needs two pictures a second at most
const RECONNECT_MS = 3000; // the browser retries by itself unless the server answered with an error
const STALE_MS = 30000; // a phone that slept longer than this may hold a dead connection

function showState(badge, connected, since) {
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

/** Follow `url`; call `refresh` after changes, after a reconnection and after the page has slept. */
export function connect({url, badge, refresh}) {
  let source = null;
  let retry = null;
  let pending = null;
  let lostAt = null;
  let heardAt = Date.now();

  function changed() {
    heardAt = Date.now();
    if (pending === null) {
      pending = setTimeout(() => {
        pending = null;
        refresh();
      }, COALESCE_MS);
    }
  }

  function opened() {
    const missed = lostAt !== null;
    lostAt = null;
    heardAt = Date.now();
    showState(badge, true);
    if (missed) {
      refresh();
    }
  }

  function failed() {
    lostAt = lostAt ?? new Date();
    showState(badge, false, lostAt);
    if (source.readyState === EventSource.CLOSED && retry === null) {
      retry = setTimeout(open, RECONNECT_MS);
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
