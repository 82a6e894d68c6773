// The line: how much goes through it, what waits where, what failed, which models serve.

import { queues, stats } from "./api.js";
import { makeMinutes } from "./charts.js";
import { fill, h, setText, throttledAndLater } from "./dom.js";
import { on, state } from "./events.js";
import { makeFailed } from "./failed.js";
import { number, percent, rate, seconds } from "./format.js";
import { icon } from "./icons.js";
import { makeModels } from "./models.js";
import { makeStages } from "./stage-cards.js";

const QUEUES_MS = 2000;
const STATS_MS = 4000;
const MODELS_MS = 30_000;
const MINUTES = 15;

/** Show the line, and keep it up to date. */
export function showLine(root) {
  const tiles = makeTiles();
  const stages = makeStages();
  const minutes = makeMinutes();
  const failed = makeFailed();
  const models = makeModels();
  const links = h("p.line-links");
  const trouble = h("p.reason", { hidden: true });
  fill(
    root,
    h("div.line-head", h("h1", "Line"), links),
    trouble,
    tiles.root,
    h("section.panel", { "aria-labelledby": "stages-title" }, h("h2", { id: "stages-title" }, "Stages"), stages.root),
    h(
      "section.panel",
      { "aria-labelledby": "minutes-title" },
      h("h2", { id: "minutes-title" }, "Pictures per minute"),
      minutes.root,
    ),
    failed.root,
    models.root,
  );
  const lookAtQueues = quietly(async () => {
    const found = await queues();
    stages.depths(found.stages);
    tiles.unfinished(found.unfinished);
  });
  const lookAtStats = quietly(async () => {
    const found = await stats(MINUTES);
    tiles.stats(found);
    stages.pace(found.stages);
    minutes.draw(found.series);
  });
  function quietly(look) {
    return async () => {
      if (document.hidden) return;
      try {
        await look();
        trouble.hidden = true;
      } catch (error) {
        trouble.hidden = state().phase !== "live"; // otherwise the banner shows it
        fill(trouble, icon("alert"), h("span", `The figures are not new: ${error.message}`));
      }
    };
  }
  const drawLinks = ({ report }) => showLinks(links, report);
  const all = () => [lookAtQueues, lookAtStats, failed.look, models.look].forEach((look) => look());
  const soon = throttledAndLater(1000, failed.look);
  const timers = [
    setInterval(lookAtQueues, QUEUES_MS),
    setInterval(lookAtStats, STATS_MS),
    setInterval(models.look, MODELS_MS),
  ];
  const leave = [
    on("resync", all),
    on("state", drawLinks),
    on("event", ({ type }) => ["failed", "rerun", "deleted"].includes(type) && soon()),
  ];
  drawLinks(state());
  all();
  return () => {
    timers.forEach(clearInterval);
    leave.forEach((off) => off());
  };
}

function showLinks(links, report) {
  const console_ = consoleOf(report);
  const key = `${console_} ${report?.version}`;
  if (links.dataset.key === key) return;
  links.dataset.key = key;
  fill(
    links,
    console_ ? h("a", { href: console_, target: "_blank", rel: "noopener" }, "MinIO console", icon("out")) : null,
    h("a", { href: "/docs" }, "API documentation", icon("out")),
    report?.version ? h("span.quiet-text", `Stageline ${report.version}`) : null,
  );
}

/** The address of the console if the line has one: schemes other than http are never linked. */
function consoleOf(report) {
  try {
    const found = new URL(report?.console_url ?? "", location.href);
    return report?.console_url && /^https?:$/.test(found.protocol) ? found.href : null;
  } catch {
    return null;
  }
}

/** Pictures per second in the last 60 s: the current minute, and a share of the minute before. */
function latest({ at, series }) {
  const [before, running] = series.slice(-2);
  if (!running) return null;
  const share = Math.max(0, Math.min(1, (Date.parse(at) - Date.parse(running.at)) / 60_000));
  return (running.completed + before.completed * (1 - share)) / 60;
}

function makeTiles() {
  const values = {};
  const tile = (name, label, unit = "") => {
    values[name] = h("b", "–");
    return h(
      "li.tile-figure",
      h("span.tile-label", label),
      h("span.tile-value", values[name], unit ? h("small", unit) : null),
    );
  };
  const root = h(
    "ul.tiles",
    { "aria-label": `Figures of the last ${MINUTES} minutes` },
    tile("pace", "Throughput, last minute", "per second"),
    tile("success", "Success rate"),
    tile("unfinished", "Unfinished", "pictures"),
    tile("p50", "Latency p50"),
    tile("p95", "p95"),
    tile("p99", "p99"),
  );
  return {
    root,
    unfinished: (count) => setText(values.unfinished, number(count)),
    stats(found) {
      setText(values.pace, rate(latest(found)));
      setText(values.success, percent(found.success_rate, found.success_rate === 1 ? 0 : 2));
      for (const name of ["p50", "p95", "p99"]) setText(values[name], seconds(found.latency_seconds?.[name]));
    },
  };
}
