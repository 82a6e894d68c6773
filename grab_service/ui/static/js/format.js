// Numbers, times and names for people.

const NUMBER = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

export const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));

export function bytes(size) {
  if (size === null || size === undefined) return "–";
  let at = 0;
  let left = size;
  while (left >= 1000 && at < UNITS.length - 1) {
    left /= 1000;
    at += 1;
  }
  return `${at === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${UNITS[at]}`;
}

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const seconds = (value) => (value === null || value === undefined ? "–" : duration(value * 1000));

export function percent(share, digits = 0) {
  if (share === null || share === undefined) return "–";
  const floored = Math.floor(share * 100 * 10 ** digits) / 10 ** digits; // 99.96 % is not 100 %
  return `${floored.toFixed(digits)} %`;
}

/** A share of 1, rounded. */
export const share = (value) => (value === null || value === undefined ? "" : `${Math.round(100 * value)} %`);

/** How sure something is; rounded as on the tagged picture: only 1 is 100 %. */
export const sure = (score) => share(score < 1 ? Math.min(score, 0.99) : score);

export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "–";
  return perSecond >= 100 ? number(Math.round(perSecond)) : perSecond.toFixed(perSecond >= 10 ? 1 : 2);
}

export const clock = (iso) => (iso ? CLOCK.format(new Date(iso)) : "–");

export function moment(iso) {
  if (!iso) return "–";
  const when = new Date(iso);
  return `${DAY.format(when)}, ${CLOCK.format(when)}`;
}

export function ago(iso, now = Date.now()) {
  if (!iso) return "";
  const passed = Math.max(0, (now - Date.parse(iso)) / 1000);
  if (passed < 10) return "just now";
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86400) return `${Math.floor(passed / 3600)} h ago`;
  return DAY.format(new Date(iso));
}

/** "1 person", "2 people" in the plain way: `plural(2, "picture")`. */
export const plural = (count, noun, many = `${noun}s`) => `${number(count)} ${count === 1 ? noun : many}`;

/** A worker's name without its queue: "detect · 987ee8". */
export function worker(name) {
  if (!name) return "–";
  const [, label, id] = name.split(":");
  return id ? `${label} · ${id.slice(0, 6)}` : name;
}
