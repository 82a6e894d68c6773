// The line's events, while the page is open: reconnects by itself, and says when something may have been missed.

import { ApiError, health } from "./api.js";

const TYPES = ["accepted", "stage", "waiting", "completed", "failed", "deleted", "rerun"];
const WAITS = [1, 2, 3, 5, 8, 15]; // seconds before each further try
const HEALTH_MS = 10_000;
const HIDDEN_MS = 60_000; // after this, a page in the background gives its connection back: a browser has only six

const listeners = { event: new Set(), resync: new Set(), state: new Set() };
const now = { phase: "connecting", retryAt: null, report: null, reason: null };
let source = null;
let tries = 0;
let missed = false;
let timer = null;
let hiding = null;

/** Call `listener` on every event {type, …data}, on each "resync" (look again at everything), on each new "state". */
export function on(what, listener) {
  listeners[what].add(listener);
  return () => listeners[what].delete(listener);
}

/** How the connection is: phase "connecting", "live" or "lost"; report is what /health said last. */
export const state = () => now;

function tell(what, content) {
  for (const listener of [...listeners[what]]) {
    try {
      listener(content);
    } catch (error) {
      reportError(error); // one view's mistake must not silence the others
    }
  }
}

function become(change) {
  Object.assign(now, change);
  tell("state", now);
}

function open() {
  close();
  source = new EventSource("/events");
  source.addEventListener("open", () => {
    tries = 0;
    become({ phase: "live", retryAt: null, reason: null });
    if (missed) tell("resync");
    missed = false;
    look();
  });
  source.addEventListener("error", lost);
  for (const type of TYPES) source.addEventListener(type, (event) => heard(type, event.data));
}

function heard(type, data) {
  let content;
  try {
    content = JSON.parse(data);
  } catch {
    return; // not ours
  }
  tell("event", { type, ...content });
}

function close() {
  clearTimeout(timer);
  timer = null;
  source?.close();
  source = null;
}

async function lost() {
  close();
  missed = true;
  const wait = WAITS[Math.min(tries, WAITS.length - 1)];
  tries += 1;
  become({ phase: "lost", retryAt: Date.now() + wait * 1000 });
  timer = setTimeout(open, wait * 1000);
  await look();
  if (now.phase === "lost" && now.report && now.report.status !== "unavailable") tell("resync"); // it answers
}

/** Ask /health what is wrong. */
async function look() {
  try {
    const report = await health();
    become({ report, reason: null });
  } catch (error) {
    const reason = error instanceof ApiError ? error.message : String(error);
    become({ report: null, reason });
    if (now.phase === "live") lost(); // the stream looks open, and nothing answers behind it
  }
}

/** Try at once, not when the wait is over. */
export function retryNow() {
  tries = 0;
  open();
}

function onVisibility() {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => {
      missed = true;
      close();
    }, HIDDEN_MS);
  } else if (source === null && timer === null) {
    open();
  }
}

/** Connect. */
export function start() {
  open();
  setInterval(() => {
    if (!document.hidden && now.phase === "live") look();
  }, HEALTH_MS);
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("online", retryNow);
}
