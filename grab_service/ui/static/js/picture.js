// One picture: its stages, its findings and its history.

import { ledger, status } from "./api.js";
import { makeActions } from "./actions.js";
import { badge } from "./card.js";
import { announce, copy, fill, h, throttled, toast } from "./dom.js";
import { on, state } from "./events.js";
import { makeFindings } from "./findings.js";
import { found } from "./found.js";
import { bytes, moment, seconds } from "./format.js";
import { icon, STATUSES } from "./icons.js";
import { makeOverlay } from "./overlay.js";
import { factsOf } from "./upright.js";
import { makeStrip } from "./strip.js";
import { makeTimeline } from "./timeline.js";

/** Show a picture, and keep it up to date. */
export function showPicture(root, { argument: id }) {
  const parts = makeParts(id, () => look());
  let gone = false;
  let drawn = false;
  let asked = 0;
  let shown = 0;
  fill(root, h("div.crumbs", h("a", { href: "#/" }, icon("left"), "Pictures")), parts.loading);
  const look = throttled(250, async () => {
    if (gone) return;
    const mine = (asked += 1);
    try {
      const [now, entries] = await Promise.all([status(id), ledger(id)]);
      if (gone || mine < shown) return; // a later answer arrived before
      shown = mine;
      if (!drawn) fill(root, h("div.crumbs", h("a", { href: "#/" }, icon("left"), "Pictures")), parts.nodes);
      drawn = true;
      parts.draw(now, entries);
    } catch (error) {
      if (gone || (drawn && error.status !== 404)) return; // the banner shows the problem; the view stays
      fill(root, missing(id, error, look));
      drawn = false;
    }
  });
  let live = state().phase === "live";
  const leave = [
    on("state", ({ phase }) => {
      if (phase === "live" && !live) look(); // events before the connection were missed
      live = phase === "live";
      parts.heard();
    }),
    on("event", (event) => event.image_id === id && (event.type === "deleted" ? deleted() : look())),
    on("resync", () => {
      parts.retry();
      look();
    }),
  ];
  function deleted() {
    gone = true;
    fill(root, missing(id, { status: 410 }, look));
  }
  look();
  return () => {
    gone = true;
    leave.forEach((off) => off());
  };
}

function makeParts(id, look) {
  const head = h("div.picture-head");
  const facts = h("dl.facts.picture-facts");
  const reason = h("div.picture-reason");
  const actions = makeActions(id, look);
  const strip = makeStrip(id, actions.lose);
  const overlay = makeOverlay(id);
  const findings = makeFindings(id, overlay);
  const timeline = makeTimeline();
  const raw = makeRaw();
  let last = null;
  const drawFound = ({ now, seen }) => {
    const things = found(now.results);
    const key = JSON.stringify([things, seen]);
    if (last?.key !== key) overlay.draw(things, seen);
    findings.draw(things, now, seen, state().report);
    last = { now, seen, key };
  };
  return {
    loading: h(
      "div.picture-loading",
      { "aria-label": "Loading" },
      h("span.bone"),
      h("span.bone.block"),
      h("span.bone.block"),
    ),
    nodes: [
      head,
      reason,
      actions.root,
      facts,
      strip.root,
      h(
        "section.looked",
        { "aria-label": "What was found" },
        h("div.panel.viewer-panel", overlay.root),
        h("div.panel.findings-panel", findings.root),
      ),
      timeline.root,
      raw.root,
    ],
    retry() {
      strip.retry();
      overlay.retry();
    },
    /** Handle a new report on the line. */
    heard: () => last && drawFound(last),
    draw(now, entries) {
      drawHead(head, reason, now);
      drawFacts(facts, now, id);
      actions.draw(now);
      strip.draw(now, entries);
      const before = last?.now.status;
      drawFound({ now, seen: factsOf(now) });
      timeline.draw(now, entries);
      raw.draw(now);
      if (before && before !== now.status)
        announce(`${now.filename ?? id}: ${STATUSES[now.status]?.label ?? now.status}`);
    },
  };
}

function drawHead(head, reason, now) {
  const name = now.filename ?? now.image_id;
  document.title = `${name} · Stageline`;
  const key = JSON.stringify([name, now.status, now.reason, now.kind, Math.ceil(now.estimated_seconds_left ?? -1)]);
  if (head.dataset.key === key) return;
  head.dataset.key = key;
  const left = now.estimated_seconds_left;
  fill(
    head,
    h("h1", { title: name }, name),
    h(
      "p.picture-state",
      badge(now.status),
      now.kind ? h("span.chip", icon(now.kind === "face" ? "face" : "box"), now.kind) : null,
      left ? h("span.quiet-text", `about ${Math.ceil(left)} s left`) : null,
    ),
  );
  const failed = now.status === "failed" && now.reason;
  const waits = now.status === "waiting" ? "Preprocessed and waiting. Send it on when you like." : null;
  fill(
    reason,
    failed
      ? h(
          "p.reason",
          icon("alert"),
          h("span", now.failed_stage ? h("b", `Failed in ${now.failed_stage}: `) : null, now.reason),
        )
      : waits
        ? h("p.reason.calm", icon("pause"), waits)
        : null,
  );
}

function drawFacts(facts, now, id) {
  const document = now.results ?? {};
  const entries = [
    ["Size", document.origin_w ? `${document.origin_w} × ${document.origin_h}` : null],
    ["File", bytes(now.file_size)],
    ["Uploaded", moment(now.created_at)],
    ["Took", now.processing_time === null || now.processing_time === undefined ? null : seconds(now.processing_time)],
    ["Run", now.run > 1 ? now.run : null],
    ["Name", now.filename_guessed ? "a best guess: its encoding was not said" : null],
  ].filter(([, value]) => value !== null);
  const key = JSON.stringify(entries);
  if (facts.dataset.key === key) return;
  facts.dataset.key = key;
  const take = h(
    "button.id",
    { type: "button", title: "Copy the id", onclick: () => copy(id).then(() => toast("Id copied")) },
    h("code", id),
    icon("copy"),
  );
  fill(
    facts,
    entries.map(([name, value]) => h("div", h("dt", name), h("dd", value))),
    h("div", h("dt", "Id"), h("dd", take)),
  );
}

function makeRaw() {
  const text = h("pre.code", { tabindex: "0" });
  const details = h(
    "details.panel.raw",
    h("summary", h("h2", "Raw JSON")),
    h(
      "div.raw-body",
      h(
        "button",
        { type: "button", onclick: () => copy(text.textContent).then(() => toast("JSON copied")) },
        icon("copy"),
        "Copy",
      ),
      text,
    ),
  );
  let now = null;
  const draw = () => {
    const wanted = details.open ? JSON.stringify(now, null, 2) : "";
    if (text.textContent !== wanted) text.textContent = wanted;
  };
  details.addEventListener("toggle", draw);
  return { root: details, draw: (next) => draw((now = next)) };
}

function missing(id, error, look) {
  const [title, sentence] = {
    404: ["There is no such picture", `Nothing is known of ${id}. It may have been deleted.`],
    410: ["This picture was deleted", "It and everything made of it is gone."],
  }[error.status] ?? ["The picture cannot be shown", error.message];
  const again =
    error.status === 404 || error.status === 410
      ? null
      : h("button", { type: "button", onclick: look }, icon("again"), "Try again");
  return h(
    "div.empty",
    icon("picture"),
    h("h1", title),
    h("p", sentence),
    h("p", h("a.button", { href: "#/" }, "All pictures"), again),
  );
}
