// Sending files: at most four at once, each until the line has accepted or refused it. Independent of the page.

import { problemOf } from "./api.js";
import { on, state as connection, trouble } from "./events.js";

const BATCH_SIZE = 4;
const AWAY_SECONDS = 3;
const TRIES = 5; // for a file that fails while the API answers: it may have changed on the disk
const AGAIN = new Set([0, 409, 429, 503]); // a retry may succeed

export const items = [];
const listeners = new Set();
const running = new Set();
let pausedUntil = 0;
let pauseTimer = null;

/** Call `listener(item)` when an item changed, `listener(null)` when the list did. */
export function onUpload(listener) {
  listeners.add(listener);
}

const notify = (item) => listeners.forEach((listener) => listener(item));

/** Queue files. `options` are {process, dedupe}, as the line's parameters are called. */
export function add(files, options) {
  for (const file of files) {
    items.push({ file, options, name: file.name, size: file.size, state: "queued", sent: 0, tries: 0, key: token() });
  }
  notify(null);
  pump();
}

/** Drop the files that are not sent yet. */
export function cancel() {
  for (const item of items) {
    if (item.state === "queued") item.state = "cancelled";
    item.request?.abort();
  }
  notify(null);
}

/** Remove the finished uploads. */
export function clearEnded() {
  const kept = items.filter((item) => !ended(item));
  items.splice(0, items.length, ...kept);
  notify(null);
}

export const ended = ({ state }) => ["done", "duplicate", "refused", "cancelled"].includes(state);

/** When the line accepts more, in ms since 1970; 0: now. */
export const paused = () => (pausedUntil > Date.now() ? pausedUntil : 0);

function token() {
  const random = crypto.getRandomValues(new Uint8Array(16)); // plain http has no randomUUID
  return `page-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function pump() {
  clearTimeout(pauseTimer);
  if (paused()) {
    pauseTimer = setTimeout(pump, pausedUntil - Date.now() + 20);
    return;
  }
  const why = trouble();
  for (const item of items) {
    if (why && item.state === "queued") {
      const message = `waits: ${why}`;
      if (item.message !== message) notify(Object.assign(item, { message }));
    }
    if (why) continue; // continues with the connection, see below
    if (running.size >= BATCH_SIZE) return;
    if (item.state === "queued") send(item);
  }
}

function address({ name, options }) {
  const parameters = new URLSearchParams({ filename: name });
  if (options.process === false) parameters.set("process", "false");
  if (options.dedupe) parameters.set("dedupe", "true");
  return `/upload?${parameters}`;
}

function send(item) {
  const request = new XMLHttpRequest();
  running.add(item);
  Object.assign(item, { state: "sending", sent: 0, message: "", request });
  request.upload.addEventListener("progress", (event) => {
    item.sent = Math.min(item.size, event.loaded);
    notify(item);
  });
  request.addEventListener("loadend", () => finish(item, request));
  request.addEventListener("abort", () => (item.state = "cancelled"));
  request.open("POST", address(item)); // the raw body: a form would change quotes in the name
  request.setRequestHeader("Content-Type", item.file.type || "application/octet-stream");
  request.setRequestHeader("Idempotency-Key", item.key); // so that a retry never creates two pictures
  request.send(item.file);
  notify(item);
}

function finish(item, request) {
  running.delete(item);
  item.request = null;
  const { status } = request;
  if (status === 200 || status === 202) accepted(item, JSON.parse(request.responseText));
  else if (item.state !== "cancelled") refused(item, status, request);
  notify(item);
  pump();
}

function accepted(item, answer) {
  item.state = answer.duplicate ? "duplicate" : "done";
  item.sent = item.size;
  item.imageId = answer.image_id;
  item.seconds = answer.estimated_seconds ?? null;
}

function refused(item, status, request) {
  const problem = problemOf(status, request.responseText, request.getResponseHeader("Retry-After"));
  if (status === 0) {
    item.tries += connection().phase === "live" ? 1 : 0;
    problem.message = "no connection to the line";
  }
  item.sent = 0;
  if (AGAIN.has(status) && item.tries < TRIES) {
    const wait = problem.retryAfter ?? AWAY_SECONDS;
    pausedUntil = Math.max(pausedUntil, Date.now() + wait * 1000);
    Object.assign(item, { state: "queued", message: problem.message });
    return;
  }
  const gone = "the file could not be sent; it may have been changed or removed meanwhile";
  Object.assign(item, { state: "refused", message: status === 0 ? gone : problem.message });
}

on("state", () => items.some(({ state }) => state === "queued") && pump());

addEventListener("beforeunload", (event) => {
  if (items.some((item) => !ended(item))) event.preventDefault();
});
