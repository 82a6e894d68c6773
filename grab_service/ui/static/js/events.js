// The line's events while the page is visible: reconnects by itself, and emits "resync" after a possible gap.

import { ApiError, health } from "./api.js";
import { join } from "./sharing.js";

const TYPES = ["accepted", "stage", "waiting", "completed", "failed", "deleted", "rerun", "gap"];
const WAITS = [1, 2, 3, 5, 8, 15]; // seconds before each further try
const DOWN_WAIT = 3; // the same, while the line reports that it is down
const HEALTH_MS = 10_000;
const LAG_MS = 3000; // after which the catalogue has applied the events of a gap
const HIDDEN_MS = 2000; // after this, a page in the background gives its connection back: a browser has only six

const listeners = { event: new Set(), resync: new Set(), state: new Set() };
const now = { phase: "connecting", retryAt: null, report: null, reason: null };
let group = null; // the tabs that share a stream; null while this one is hidden
let leading = false; // whether this tab holds the stream
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

/** Pass an event to the views of this page before the line sends it. */
export const note = (event) => emit("event", event);

/** How the connection is: phase "connecting", "live" or "lost"; report is the last one of /health. */
export const state = () => now;

/** Why uploads are blocked now; empty where they are not. */
export function trouble() {
  if (now.report?.down) return "the line is down";
  return now.phase === "lost" && !now.report ? (now.reason ?? "no connection to the line") : "";
}

function emit(what, content) {
  for (const listener of [...listeners[what]]) {
    try {
      listener(content);
    } catch (error) {
      reportError(error); // an error in one view must not stop the others
    }
  }
}

function become(change) {
  Object.assign(now, change);
  if (leading) group?.say({ kind: "state", state: now });
  emit("state", now);
}

/** Reload everything in every tab, and once more when the catalogue has caught up. */
function resync() {
  lookAgain();
  clearTimeout(again);
  again = setTimeout(lookAgain, LAG_MS);
}

function lookAgain() {
  if (leading) group?.say({ kind: "resync" });
  emit("resync");
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
    return; // a foreign message
  }
  if (type === "gap") return void resync(); // some events are no longer kept
  if (leading) group?.say({ kind: "event", type, content });
  emit("event", { type, ...content });
}

/** Handle a message from the tab that holds the stream, or a request to it. */
function handed(message) {
  if (message.kind === "retry") retryNow();
  else if (message.kind === "event") emit("event", { type: message.type, ...message.content });
  else if (message.kind === "resync") emit("resync");
  else if (message.kind === "state") {
    become(message.state);
    if (now.phase !== "live") return;
    if (missed) emit("resync");
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
  if (now.phase === "lost" && now.report && !now.report.down) resync(); // the API answers
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
  if (mine !== group || !leading) return; // the page is hidden, or another tab holds the stream
  const wasDown = now.report?.down;
  become(change);
  if (!change.report && now.phase === "live") lost(); // the stream looks open, but the API does not answer
  else if (wasDown && change.report && !change.report.down) resync(); // failed views can load now
}

/** Reconnect at once instead of after the wait. */
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

/** Close the stream: another tab may need the connection, and this one is hidden. */
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
