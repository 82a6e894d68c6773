// The banner shows that the line is down, and its problems; the header shows the state of the connection.

import { fill, h, setText } from "./dom.js";
import { on, retryNow, state } from "./events.js";
import { icon } from "./icons.js";

const banner = document.getElementById("banner");
const light = document.getElementById("connection");
let dismissed = "";
let shown = "";
let text = null;

/** Keep the banner and the light up to date. */
export function startBanner() {
  on("state", draw);
  setInterval(tick, 500);
  draw(state());
}

function secondsLeft({ retryAt }) {
  return Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
}

const DOWN = "The line is down: no pictures can be taken. What was sent is safe.";

function sentences({ phase, report, reason }) {
  const known = report?.problems ?? [];
  if (report?.down) return [DOWN, ...known];
  if (known.length) return known;
  if (phase !== "lost") return [];
  return report ? ["The line answers, but sends no live updates"] : [capital(reason ?? "no connection to the line")];
}

/** A problem without its numbers, which change while the problem stays the same. */
const kindOf = (problem) => problem.replace(/\d+/g, "#");

const capital = (sentence) => sentence.charAt(0).toUpperCase() + sentence.slice(1);

function draw(now) {
  drawLight(now);
  const found = sentences(now);
  const down = Boolean(now.report?.down);
  const bad = now.phase === "lost" || down;
  const wanted = found.length ? JSON.stringify([bad, now.phase === "lost", found]) : "";
  if (wanted === shown) {
    tick();
    return;
  }
  shown = wanted;
  if (kindOf(wanted) !== dismissed) dismissed = ""; // a problem that ended and returns is shown again
  banner.hidden = wanted === "" || kindOf(wanted) === dismissed;
  if (banner.hidden) {
    fill(banner);
    return;
  }
  text = h("span.countdown", { "aria-hidden": "true" });
  banner.className = bad ? "banner bad" : "banner";
  fill(
    banner,
    icon("alert"),
    h(
      "div.banner-text",
      { role: bad ? "alert" : "status" },
      found.map((one, at) => h(down && at ? "p.banner-why" : "p", capital(one))),
    ),
    text,
    bad
      ? h("button.quiet", { type: "button", onclick: retryNow }, "Try now")
      : h("button.quiet", { type: "button", onclick: dismiss, "aria-label": "Dismiss this message" }, icon("cross")),
  );
  tick();
}

function dismiss() {
  dismissed = kindOf(shown);
  banner.hidden = true;
}

function tick() {
  const now = state();
  if (!text || banner.hidden) return;
  setText(text, now.phase === "lost" && now.retryAt ? `trying again in ${secondsLeft(now)} s` : "");
}

function drawLight({ phase, report }) {
  const troubled = report && report.status !== "ready";
  const [kind, label] = report?.down
    ? ["bad", "Down"]
    : phase === "live"
      ? troubled
        ? ["warn", "Degraded"]
        : ["good", "Live"]
      : phase === "lost"
        ? ["bad", "Offline"]
        : ["", "Connecting"];
  light.className = `connection ${kind}`;
  setText(light.querySelector("span"), label);
}
