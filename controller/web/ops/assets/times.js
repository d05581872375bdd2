// Times are written by the server as UTC and shown in the reader's zone; the UTC form stays one hover away.

const TICK_MS = 1000;
const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86400, "hour", 3600],
  [Infinity, "day", 86400],
];

// 24 hours whatever the language: the logs beside the page are written so.
const HOURS = {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"};
const clock = new Intl.DateTimeFormat(undefined, HOURS);
const dayAndClock = new Intl.DateTimeFormat(undefined, {day: "numeric", month: "short", ...HOURS});
const age = new Intl.RelativeTimeFormat(undefined, {numeric: "always", style: "short"});

/** The hour in the reader's zone, with the day unless it is today. */
export function localTime(date) {
  const today = date.toDateString() === new Date().toDateString();
  return (today ? clock : dayAndClock).format(date);
}

/** `2026-11-22 23:31:00 UTC`. */
export function utcTime(date) {
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function relativeTime(date) {
  const seconds = Math.round((date.getTime() - Date.now()) / 1000);
  const [, unit, size] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  return age.format(Math.trunc(seconds / size), unit);
}

/** Rewrite `<time datetime>` elements; those with data-format="relative" keep ticking. */
export function showTimes(elements) {
  for (const element of elements) {
    const date = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(date.getTime())) {
      continue; // what the server wrote stays readable
    }
    const relative = element.dataset.format === "relative";
    element.textContent = relative ? relativeTime(date) : localTime(date);
    element.title = relative ? `${localTime(date)} (${utcTime(date)})` : utcTime(date);
  }
}

setInterval(() => {
  if (!document.hidden) {
    showTimes(document.querySelectorAll('time[datetime][data-format="relative"]'));
  }
}, TICK_MS);
