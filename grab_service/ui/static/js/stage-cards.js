// The stages of the line: their queues, workers and speed.

import { STAGES } from "./api.js";
import { makeSparkline } from "./charts.js";
import { fill, h, setText } from "./dom.js";
import { duration, number, plural, rate } from "./format.js";
import { icon } from "./icons.js";

const SLOTS = 60;
const past = new Map(); // stage → its latest depths; kept while other views are shown

/** Make the row of stages. */
export function makeStages() {
  const root = h("ol.stages");
  const cards = new Map();
  function ensure(found) {
    const names = [...STAGES.filter((name) => found.includes(name)), ...found.filter((name) => !STAGES.includes(name))];
    if (names.join() === [...cards.keys()].join()) return;
    cards.clear();
    for (const name of names) cards.set(name, makeStage(name));
    fill(
      root,
      [...cards.values()].map((card) => card.root),
    );
  }
  return {
    root,
    depths(stages) {
      ensure(Object.keys(stages));
      for (const [name, depth] of Object.entries(stages)) drawDepth(cards.get(name), name, depth);
    },
    pace(stages) {
      ensure(Object.keys(stages));
      for (const [name, one] of Object.entries(stages)) drawPace(cards.get(name), one);
    },
  };
}

function makeStage(name) {
  const card = {
    waiting: h("b.depth", "–"),
    flight: h("dd", "–"),
    delayed: h("dd", "–"),
    dead: h("dd", "–"),
    mean: h("dd", "–"),
    tail: h("dd", "–"),
    pace: h("dd", "–"),
    workers: h("span.workers"),
    spark: makeSparkline(`Waiting at ${name}`, SLOTS),
  };
  const pair = (label, value) => h("div", h("dt", label), value);
  card.root = h(
    "li.stage",
    h("header", h("h3", name), card.workers),
    h("p.depth-line", card.waiting, h("span", "waiting")),
    card.spark.root,
    h(
      "dl",
      pair("In flight", card.flight),
      pair("Delayed", card.delayed),
      pair("Dead", card.dead),
      pair("Per second", card.pace),
      pair("Mean", card.mean),
      pair("p95", card.tail),
    ),
  );
  return card;
}

function drawDepth(card, name, depth) {
  const values = past.get(name) ?? [];
  values.push(depth.waiting);
  past.set(name, values.slice(-SLOTS));
  card.spark.draw(past.get(name));
  setText(card.waiting, number(depth.waiting));
  setText(card.flight, number(depth.in_flight));
  setText(card.delayed, number(depth.delayed));
  setText(card.dead, number(depth.dead));
  card.dead.classList.toggle("bad", depth.dead > 0);
}

function drawPace(card, one) {
  setText(card.pace, rate(one.throughput_per_second));
  setText(card.mean, duration(one.mean_ms));
  setText(card.tail, duration(one.p95_ms));
  const none = one.workers === 0;
  if (card.shownWorkers === one.workers) return;
  card.shownWorkers = one.workers;
  card.workers.classList.toggle("bad", none);
  fill(card.workers, none ? icon("alert") : null, none ? "no worker" : plural(one.workers, "worker"));
}
