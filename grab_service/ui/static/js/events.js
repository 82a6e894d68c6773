// The line's events, while the page is looked at: reconnects by itself, and says when something may have been missed.

import { ApiError, health } from "./api.js";
import { join } from "./sharing.js";

const TYPES = ["accepted", "stage", "waiting", "completed", "failed", "deleted", "rerun", "gap"];
const WAITS = [1, 2, 3, 5, 8, 15]; // seconds before each further try
const DOWN_WAIT = 3; // the same, while the line answers that it is down
const HEALTH_MS = 10_000;
const LAG_MS = 3000; // after which the catalogue has written down what happened while nobody listened
const HIDDEN_MS = 2000; // after this, a page in the background gives its connection back: a browser has only six

const listeners = { event: new Set(), resync: new Set(), state: new Set() };
const now = { phase: "connecting", retryAt: null, report: null, reason: null };
let group = null; // the tabs that share a stream; null while nobody looks at this one
let leading = false; // this one holds it
let source = null;
let tries = 0;
let missed = false;
let timer = null;
let again = null;
let hiding = null;
let lookedAt = 0;

/** Call `listener` on every event {type, …data}, on each "resync" (look again at everything), on each new "state". */
export function on(what, listener) {
  listeners[what].add(listener);
  return () => listeners[what].delete(listener);
}

/** Tell this page's views what it knows before the line says it. */
export const note = (event) => tell("event", event);

/** How the connection is: phase "connecting", "live" or "lost"; report is what /health said last. */
export const state = () => now;

/** Why nothing can be sent now; empty where it can. */
export function trouble() {
  if (now.report?.down) return "the line is down";
  return now.phase === "lost" && !now.report ? (now.reason ?? "no connection to the line") : "";
}

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
  if (leading) group?.say({ kind: "state", state: now });
  tell("state", now);
}

/** Look again at everything, in every tab; and once more, when the catalogue has caught up. */
function resync() {
  lookAgain();
  clearTimeout(again);
  again = setTimeout(lookAgain, LAG_MS);
}

function lookAgain() {
  if (leading) group?.say({ kind: "resync" });
  tell("resync");
}

function lead() {
  leading = true;
  open();
}

function follow() {
  close();
  leading = false;
  missed = true;
}

function open() {
  close();
  source = new EventSource("/events");
  source.addEventListener("open", () => {
    tries = 0;
    become({ phase: "live", retryAt: null, reason: null });
    if (missed) resync();
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
  if (type === "gap") return void resync(); // some events are no longer kept
  if (leading) group?.say({ kind: "event", type, content });
  tell("event", { type, ...content });
}

/** What the tab that holds the stream says; or, where this one does, what another asks of it. */
function handed(message) {
  if (message.kind === "retry") retryNow();
  else if (message.kind === "event") tell("event", { type: message.type, ...message.content });
  else if (message.kind === "resync") tell("resync");
  else if (message.kind === "state") {
    become(message.state);
    if (now.phase !== "live") return;
    if (missed) tell("resync");
    missed = false;
  }
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
  const wait = now.report?.down ? DOWN_WAIT : WAITS[Math.min(tries, WAITS.length - 1)];
  tries += 1;
  become({ phase: "lost", retryAt: Date.now() + wait * 1000 });
  timer = setTimeout(open, wait * 1000);
  await look();
  if (now.phase === "lost" && now.report && !now.report.down) resync(); // it answers
}

/** Ask /health what is wrong. */
async function look() {
  const mine = group;
  lookedAt = Date.now();
  let change;
  try {
    change = { report: await health(), reason: null };
  } catch (error) {
    change = { report: null, reason: error instanceof ApiError ? error.message : String(error) };
  }
  if (mine !== group || !leading) return; // nobody looks at this page any more, or another holds the stream
  const wasDown = now.report?.down;
  become(change);
  if (!change.report && now.phase === "live") lost(); // the stream looks open, and nothing answers behind it
  else if (wasDown && change.report && !change.report.down) resync(); // what could not be shown can be now
}

/** Try at once, not when the wait is over. */
export function retryNow() {
  if (!group) return;
  if (!leading) {
    group.say({ kind: "retry" });
    return;
  }
  tries = 0;
  missed = true;
  open();
}

function enter() {
  clearTimeout(hiding);
  if (group) return;
  group = join({ lead, follow, hear: handed, now: () => now });
}

/** Give the stream up: another tab may need the connection, and nobody looks at this one. */
function leave() {
  clearTimeout(hiding);
  if (!group) return;
  close();
  group.leave();
  group = null;
  leading = false;
  missed = true;
  become({ phase: "connecting", retryAt: null, report: null, reason: null });
}

function onVisibility() {
  if (!document.hidden) enter();
  else hiding = setTimeout(leave, HIDDEN_MS);
}

/** Connect. */
export function start() {
  if (document.hidden) missed = true; // opened in the background
  else enter();
  setInterval(() => {
    const due = now.report?.down ? DOWN_WAIT * 1000 : HEALTH_MS;
    if (leading && now.phase === "live" && Date.now() - lookedAt >= due) look();
  }, 1000);
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => event.persisted && enter());
  addEventListener("online", retryNow);
}
