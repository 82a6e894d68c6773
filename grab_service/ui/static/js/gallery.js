// All pictures, newest first; filled page by page, and live.

import { makeCard, noteStage, retryThumb, startOver, updateCard } from "./card.js";
import { announce, fill, h, setText, throttled, throttledAndLater } from "./dom.js";
import { on } from "./events.js";
import { makeFilters, matches } from "./filters.js";
import { plural } from "./format.js";
import { noneLikeThat, noneYet, notListed } from "./gallery-notes.js";
import { findPage } from "./search.js";
import { uploadView } from "./upload-view.js";
import { learn } from "./words.js";

const PAGE = 48;
const MAX_IN_ANSWER = 200; // in one answer
const MAX_CARDS = 1000; // kept while pictures stream in; beyond, only the newest stay
const ORDER = ["submitted", "processing", "waiting", "completed", "failed"];
const cards = new Map(); // id → card
const erased = new Set(); // deleted since this page was opened: the catalogue may still list them for a moment
const grid = h("ul.grid", { "aria-label": "Pictures" });
const note = h("div.gallery-note");
const more = h("button", { type: "button", hidden: true, onclick: () => loadMore() }, "Show more");
const count = h("p.count", { role: "status" });
const filtering = makeFilters(() => reload());
let cursor = null;
let loading = null; // the current load: answers of earlier ones are ignored
let started = false;
let scrolled = 0;
let looked = 0;
let ended = { completed: 0, failed: 0 };

on("event", ({ type, image_id: id }) => {
  if (type === "deleted") erased.add(id);
  else if (type === "accepted") erased.delete(id);
});

/** Show the gallery. It is kept, and kept up to date, while other views are shown. */
export function showGallery(root, route) {
  const [zone, uploads] = uploadView();
  const asked = route.query.toString();
  const same = started && asked === new URLSearchParams(set()).toString();
  fill(
    root,
    h("h1.visually-hidden", "Pictures"),
    zone,
    uploads,
    h("div.gallery-bar", filtering.bar, count),
    grid,
    note,
    h("div.more", more),
  );
  const watcher = new IntersectionObserver(
    (seen) => seen.some((entry) => entry.isIntersecting) && cards.size && loadMore(),
    { rootMargin: "600px" },
  );
  watcher.observe(more);
  if (!started) begin();
  if (same) {
    for (const card of cards.values()) updateCard(card, {});
    requestAnimationFrame(() => scrollTo(0, scrolled));
  } else {
    filtering.set(route.query);
    reload();
  }
  return () => {
    scrolled = scrollY;
    watcher.disconnect();
  };
}

const set = () => Object.entries(filtering.filters).filter(([, value]) => value);

function begin() {
  started = true;
  on("event", heard);
  on("resync", refresh);
  learn(() => cards.forEach((card) => updateCard(card, {})));
  setInterval(() => grid.isConnected && cards.forEach((card) => updateCard(card, {})), 30_000); // "2 min ago"
}

async function load(wanted, limit, show) {
  const mine = Symbol("load");
  loading = mine;
  more.disabled = true;
  try {
    const answer = await findPage({ ...filtering.filters }, limit, wanted);
    if (loading !== mine) return;
    show(answer.images.filter(({ image_id: id }) => !erased.has(id)));
    cursor = answer.next_cursor;
    looked = (wanted ? looked : 0) + (answer.looked ?? 0);
    drawNote();
  } catch (error) {
    if (loading === mine) drawNote(error);
  }
  if (loading === mine) loading = null;
  more.disabled = false;
  more.hidden = !cursor;
}

function reload() {
  cursor = null;
  cards.clear();
  more.hidden = true;
  setText(count, "");
  fill(note);
  fill(
    grid,
    Array.from({ length: 8 }, () =>
      h("li", { "aria-hidden": "true" }, h("div.card.skeleton", h("span.thumb"), h("span.bone"), h("span.bone.short"))),
    ),
  );
  return load(null, PAGE, replace);
}

function loadMore() {
  if (cursor && !loading) load(cursor, PAGE, (rows) => rows.forEach((row) => put(row, "append")));
}

/** Reload as many rows as are shown: after a gap in the events anything may have changed. */
const refresh = throttledAndLater(1500, async () => {
  await load(null, Math.min(MAX_IN_ANSWER, Math.max(PAGE, cards.size)), replace);
  // The end may have come into sight during another load, and the observer only reports changes.
  if (grid.isConnected && more.getBoundingClientRect().top < innerHeight + 600) loadMore();
});

/** Show exactly these rows. Shown cards stay in place and keep the focus. */
function replace(rows) {
  const kept = new Map(cards);
  cards.clear();
  for (const bone of grid.querySelectorAll("li[aria-hidden]")) bone.remove();
  rows.forEach((row, at) => {
    const card = kept.get(row.image_id) ?? newCard(row);
    retryThumb(card);
    if (!isOlder(row, card.row)) updateCard(card, row);
    cards.set(row.image_id, card);
    if (grid.children[at] !== card.root) grid.insertBefore(card.root, grid.children[at] ?? null);
  });
  while (grid.children.length > rows.length) grid.lastChild.remove();
}

/** Whether a row is older than an event that arrived during its request. */
function isOlder(row, known) {
  return row.run < known.run || (row.run === known.run && ORDER.indexOf(row.status) < ORDER.indexOf(known.status));
}

function newCard(row) {
  filtering.seen((row.categories ?? []).map(({ category }) => category));
  return makeCard(row);
}

function put(row, where) {
  if (cards.has(row.image_id)) return updateCard(cards.get(row.image_id), row);
  if (!cards.size) fill(grid);
  const card = newCard(row);
  cards.set(row.image_id, card);
  grid[where](card.root);
}

function heard({ type, ...data }) {
  const card = cards.get(data.image_id);
  if (type === "accepted") return accepted(data);
  if (type === "deleted") return leave(data.image_id);
  if (type === "completed" || type === "failed") {
    ended[type] += 1;
    report();
  }
  if (!card) {
    if (type !== "stage") refresh(); // it may pass the filters now, or its upload was missed
    return undefined;
  }
  if (data.run < (card.row.run ?? 1)) return undefined; // of an abandoned run
  if (type === "stage") return noteStage(card, data);
  const change = { status: data.status, run: data.run };
  if (type === "rerun") startOver(card, change);
  else if (type === "failed") updateCard(card, { ...change, reason: data.reason, failed_stage: data.stage });
  else if (type === "completed" || type === "waiting") {
    const { kind, faces, categories = card.row.categories } = data;
    filtering.seen(categories.map(({ category }) => category));
    updateCard(card, { ...change, kind, faces, categories });
  } else updateCard(card, change);
  if (!matches(filtering.filters, card.row)) leave(data.image_id);
  return undefined;
}

function accepted(data) {
  const row = {
    ...data,
    uploaded_at: data.at,
    status: data.status ?? "submitted",
    categories: [],
    faces: 0,
    fresh: true,
  };
  if (cards.has(data.image_id) || !matches(filtering.filters, row)) return;
  put(row, "prepend");
  const card = cards.get(data.image_id);
  card.root.classList.add("arrived");
  if (cards.size > MAX_CARDS && scrollY < 2 * innerHeight) refresh(); // the rows further down are out of sight
  drawNote();
}

function leave(id) {
  cards.get(id)?.root.remove();
  cards.delete(id);
  drawNote();
}

const report = throttled(3000, () => {
  const parts = [];
  if (ended.completed) parts.push(`${plural(ended.completed, "picture")} completed`);
  if (ended.failed) parts.push(`${plural(ended.failed, "picture")} failed`);
  ended = { completed: 0, failed: 0 };
  announce(parts.join(", "));
});

function drawNote(error = null) {
  setText(count, cards.size ? `${plural(cards.size, "picture")}${cursor ? " so far" : ""}` : "");
  if (!cards.size) fill(grid);
  if (error) fill(note, notListed(error, reload));
  else if (cards.size) fill(note);
  else fill(note, set().length ? noneLikeThat(looked && cursor ? looked : 0) : noneYet());
}
