// The history as a timeline: when each stage worked and how long, its worker, its objects, and why it failed.

import { fill, h } from "./dom.js";
import { bytes, clock, duration, plural, worker } from "./format.js";
import { icon } from "./icons.js";

const STATES = {
  done: ["check", "done"],
  working: ["spin", "working"],
  retrying: ["again", "retrying"],
  failed: ["alert", "failed"],
  lost: ["alert", "worker lost"],
  waiting: ["clock", "waiting"],
};

/** Make the timeline; `draw(status, ledger)` redraws it after a change. */
export function makeTimeline() {
  const body = h("div");
  const root = h(
    "section.panel.ledger",
    { "aria-labelledby": "ledger-title" },
    h("h2", { id: "ledger-title" }, "Ledger"),
    body,
  );
  let key = null;
  function draw(status, ledger) {
    const next = JSON.stringify(ledger);
    if (next === key) return;
    key = next;
    const open = new Set([...body.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const focused = document.activeElement?.closest?.(".ledger details")?.dataset.key;
    const span = spanOf(ledger, status);
    fill(
      body,
      h(
        "ol.lanes",
        ledger.stages.map((entry, at) => lane(entry, ledger.stages.slice(0, at), ledger, span, open)),
      ),
      axis(span),
      earlier(ledger, open),
    );
    if (focused)
      [...body.querySelectorAll("details")]
        .find((one) => one.dataset.key === focused)
        ?.querySelector("summary")
        .focus();
  }
  return { root, draw };
}

const startOf = (entry) => (entry.started ? Date.parse(entry.started) : null);
const endOf = (entry) =>
  entry.finished ? Date.parse(entry.finished) : startOf(entry) === null ? null : startOf(entry) + (entry.ms ?? 0);

/** From the first start to the last end of the present run; earlier runs lie before it. */
function spanOf(ledger, status) {
  const runOf = (entry) => entry.run ?? status.stages?.[entry.stage]?.run ?? 1;
  const latest = Math.max(1, ...ledger.stages.filter((entry) => entry.started).map(runOf));
  const present = ledger.stages.filter((entry) => entry.started && runOf(entry) === latest);
  const tried = ledger.history.filter((entry) => entry.started && (entry.run ?? latest) === latest);
  const all = [...present, ...tried];
  const from = Math.min(...all.map(startOf));
  const to = Math.max(from + 1, ...all.map(endOf));
  return { from, length: to - from, latest, runOf, some: all.length > 0 };
}

function lane(entry, before, ledger, span, open) {
  const [symbol, word] =
    entry.state === "waiting" && ledger.status === "failed"
      ? ["cross", "not reached"]
      : (STATES[entry.state] ?? STATES.waiting);
  const tries = ledger.history.filter((one) => one.stage === entry.stage && (one.run ?? span.latest) === span.latest);
  const older = entry.started && span.runOf(entry) < span.latest;
  const details = h(
    "details",
    { data: { key: entry.stage, state: entry.state ?? "waiting" } },
    h(
      "summary",
      h("span.lane-state", { title: word }, icon(symbol), h("span.visually-hidden", word)),
      h("span.lane-name", entry.stage),
      h(
        "span.lane",
        { "aria-hidden": "true" },
        entry.started && !older ? waited(entry, before, span) : null,
        tries.map((one) => bar(one, span)),
        entry.started && !older ? bar(entry, span) : null,
        older ? h("small", `kept from run ${span.runOf(entry)}`) : null,
      ),
      h("span.number", entry.ms === null || entry.ms === undefined ? word : duration(entry.ms)),
    ),
    facts(entry),
  );
  details.open = open.has(entry.stage) || entry.state === "failed";
  return h("li", details);
}

/** The time a picture lay in the queue before a stage: from the end of the stage before. */
function waited(entry, before, span) {
  const from = Math.max(
    span.from,
    ...before.filter((one) => one.started && span.runOf(one) === span.latest).map(endOf),
  );
  const to = startOf(entry);
  if (!before.length || to - from < span.length / 500) return null;
  return h("i.wait", {
    style: { left: `${(100 * (from - span.from)) / span.length}%`, width: `${(100 * (to - from)) / span.length}%` },
  });
}

function bar(entry, span) {
  const from = (startOf(entry) - span.from) / span.length;
  const length = Math.max(0.004, (endOf(entry) - startOf(entry)) / span.length);
  const left = Math.max(0, Math.min(0.996, from));
  return h("i", {
    data: { state: entry.state },
    style: { left: `${100 * left}%`, width: `${100 * Math.min(length, 1 - left)}%` },
  });
}

function axis({ length, some }) {
  if (!some) return null;
  return h(
    "div.axis",
    { "aria-hidden": "true" },
    [0, 0.25, 0.5, 0.75, 1].map((part) => h("span", part ? duration(length * part) : "0")),
  );
}

function facts(entry) {
  return h(
    "div.lane-facts",
    entry.reason ? h("p.reason", icon("alert"), entry.reason) : null,
    entry.started
      ? h(
          "dl.facts",
          fact("Worker", entry.worker ? h("span", { title: entry.worker }, worker(entry.worker)) : "–"),
          fact("Attempt", entry.attempt ?? "–"),
          fact("Started", clock(entry.started)),
          fact("Finished", clock(entry.finished)),
        )
      : h("p.quiet-text", "It has not come to this stage yet."),
    entry.objects?.length ? objects(entry.objects) : null,
  );
}

const fact = (name, value) => h("div", h("dt", name), h("dd", value));

function objects(list) {
  return h(
    "div.scroll",
    { tabindex: "0", role: "region", "aria-label": "Objects written" },
    h(
      "table.written",
      h("thead", h("tr", h("th", "Object"), h("th.right", "Size"), h("th", "ETag"))),
      h(
        "tbody",
        list.map(({ key, size, etag }) =>
          h(
            "tr",
            h("td", h("code", key)),
            h("td.right", bytes(size)),
            h("td", h("code", { title: etag ?? "" }, etag ?? "–")),
          ),
        ),
      ),
    ),
  );
}

function earlier({ history }, open) {
  if (!history.length) return null;
  const rows = history.map((entry) => {
    const [symbol, word] = STATES[entry.state] ?? STATES.waiting;
    return h(
      "li",
      { data: { state: entry.state } },
      h("span.lane-state", icon(symbol)),
      h("span", `${entry.stage}, run ${entry.run ?? 1}, attempt ${entry.attempt}: ${word}`),
      h("span.number", duration(entry.ms ?? null)),
      entry.reason ? h("p.reason-line", entry.reason) : null,
    );
  });
  const details = h(
    "details.earlier",
    { data: { key: "earlier" } },
    h("summary", plural(history.length, "earlier attempt")),
    h("ul", rows),
  );
  details.open = open.has("earlier");
  return details;
}
