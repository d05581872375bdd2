// Times are written by the server as UTC and shown in the reader's zone; the UTC form stays one hover away.

const TICK_MS = 1000;
const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86400, "hour", 3600],
  [Infinity, "day", 86400],
];

const SPANS = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"],
];

// 24 hours whatever the language: the logs beside the page are written so.
const HOURS = {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"};
const clock = new Intl.DateTimeFormat(undefined, HOURS);
const hoursAndMinutes = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", hourCycle: "h23"});
const day = new Intl.DateTimeFormat(undefined, {day: "numeric", month: "short"});
const dayAndClock = new Intl.DateTimeFormat(undefined, {day: "numeric", month: "short", ...HOURS});
const age = new Intl.RelativeTimeFormat(undefined, {numeric: "always", style: "short"});
const now = new Intl.RelativeTimeFormat(undefined, {numeric: "auto"}).format(0, "second"); // not "in 0 seconds"

/** The hour in the reader's zone, with the day unless it is today. */
export function localTime(date) {
  const today = date.toDateString() === new Date().toDateString();
  return (today ? clock : dayAndClock).format(date);
}

/** A tick of a time axis in seconds, as short as the span of the axis allows. */
export function axisTime(seconds, {min, max}) {
  const date = new Date(seconds * 1000);
  return (max - min < 600 ? clock : max - min < 172800 ? hoursAndMinutes : day).format(date);
}

/** `2026-11-22 23:31:00 UTC`. */
export function utcTime(date) {
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function relativeTime(date) {
  const seconds = Math.round((date.getTime() - Date.now()) / 1000);
  const [, unit, size] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  return seconds === 0 ? now : age.format(Math.trunc(seconds / size), unit);
}

/** `4 min 10 s`; nothing less than no time. */
function span(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const [size, name, restSize, restName] = SPANS.find(([least]) => seconds >= least) ?? [];
  if (!size) {
    return `${seconds} s`;
  }
  const rest = Math.floor((seconds % size) / restSize);
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${restName}` : ""}`;
}

const SHAPES = {
  relative: relativeTime,
  left: (date) => span(date.getTime() - Date.now()),
  elapsed: (date) => span(Date.now() - date.getTime()),
};

/** Rewrite `<time datetime>` elements; those with a data-format keep ticking. */
export function showTimes(elements) {
  for (const element of elements) {
    const date = new Date(element.getAttribute("datetime"));
    if (Number.isNaN(date.getTime())) {
      continue; // what the server wrote stays readable
    }
    const shape = SHAPES[element.dataset.format];
    const text = shape ? shape(date) : localTime(date);
    if (element.textContent !== text) {
      element.textContent = text;
    }
    element.title = shape ? `${localTime(date)} (${utcTime(date)})` : utcTime(date);
  }
}

setInterval(() => {
  if (!document.hidden) {
    showTimes(document.querySelectorAll("time[datetime][data-format]"));
  }
}, TICK_MS);
