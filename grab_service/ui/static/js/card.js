// One picture in the gallery; changed in place as events come.

import { STAGES, imageUrl, pictureHash } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { ago, moment, plural } from "./format.js";
import { STATUSES, icon } from "./icons.js";
import { learnt, meansOne } from "./words.js";

// In characters: a card's width, wide and on a phone; what a chip's sides take, and an icon; "+9" with its sides.
const [WIDE, NARROW, PADDING, REST] = [32, 21, 3, 5];

/** A status as an icon and a word: never a colour alone. */
export function badge(status) {
  const known = STATUSES[status] ?? { icon: "info", label: status ?? "unknown" };
  return h("span.badge", { data: { status: status ?? "" } }, icon(known.icon), h("span", known.label));
}

/** Make a card of a row of /images. */
export function makeCard(row) {
  const card = {
    row,
    done: new Set(),
    working: null,
    name: h("span.card-name"),
    badge: h("span.card-badge"),
    time: h("time.card-time"),
    chips: h("span.card-chips"),
    thumb: h("span.thumb"),
    steps: h(
      "span.steps",
      { hidden: true },
      STAGES.map((stage) => h("i", { data: { stage } })),
    ),
  };
  card.link = h(
    "a.card",
    { href: pictureHash(row.image_id) },
    card.thumb,
    card.steps,
    h("span.card-body", card.name, h("span.card-line", card.badge, card.time), card.chips),
  );
  card.root = h("li", { data: { id: row.image_id } }, card.link);
  drawCard(card);
  return card;
}

/** Update the card from an event or a newer row. */
export function updateCard(card, change) {
  Object.assign(card.row, change);
  drawCard(card);
}

/** Reload a thumbnail that failed. */
export function retryThumb(card) {
  if (!card.broken) return;
  card.broken = false;
  card.shownThumb = null;
}

/** Record the state of a stage. */
export function noteStage(card, { stage, state }) {
  if (state === "done") card.done.add(stage);
  card.working = state === "working" ? stage : null;
  if (card.row.status === "submitted") card.row.status = "processing";
  drawCard(card);
}

/** A new run begins: nothing is done yet. */
export function startOver(card, change) {
  card.done.clear();
  card.working = null;
  updateCard(card, { reason: null, failed_stage: null, ...change });
}

function drawCard(card) {
  const { row } = card;
  setText(card.name, row.filename || row.image_id);
  card.name.title = row.filename || row.image_id;
  if (card.shownStatus !== row.status) {
    fill(card.badge, badge(row.status));
    card.shownStatus = row.status;
  }
  card.time.setAttribute("datetime", row.uploaded_at ?? "");
  card.time.title = moment(row.uploaded_at);
  setText(card.time, ago(row.uploaded_at));
  drawThumb(card);
  drawSteps(card);
  drawChips(card);
}

function moving({ status }) {
  return status === "submitted" || status === "processing";
}

/** The resized picture where it exists, else the original: a request for a missing one would be an error. */
function drawThumb(card) {
  const { row } = card;
  const resized = card.done.has("resize") || (!moving(row) && row.failed_stage !== "resize");
  const wanted = resized ? "resized" : row.fresh && moving(row) ? null : "original";
  if (card.shownThumb === wanted || card.shownThumb === "resized") return;
  card.shownThumb = wanted;
  if (!wanted) return;
  const image = h("img", { src: imageUrl(row.image_id, wanted), alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => image.classList.add("here"));
  image.addEventListener("error", () => {
    card.broken = true;
    fill(card.thumb, icon("picture"));
  });
  fill(card.thumb, image);
}

function drawSteps(card) {
  const { row, steps } = card;
  steps.hidden = !moving(row);
  if (steps.hidden) return;
  for (const step of steps.children) {
    const { stage } = step.dataset;
    step.className = card.done.has(stage) ? "done" : card.working === stage ? "working" : "";
  }
}

function drawChips(card) {
  const { row } = card;
  const key = JSON.stringify([row.status, row.categories, row.faces, row.reason, learnt]);
  if (card.shownChips === key) return;
  card.shownChips = key;
  if (row.status === "failed" && row.reason) {
    fill(card.chips, h("span.card-reason", { title: row.reason }, row.reason));
    return;
  }
  const faces = row.faces ? [{ text: plural(row.faces, "face"), symbol: "face" }] : [];
  fill(card.chips, fitted([...faces, ...chipsOf(row)]));
}

/** As many chips as fit, fewer on a phone, and the number of the others. */
function fitted(chips) {
  const [wide, narrow] = [WIDE, NARROW].map((room) => fitting(chips, room));
  const shown = chips.slice(0, wide).map(({ text, symbol, title }, at) => {
    const chip = h("span.chip", { title: title ?? text }, symbol ? icon(symbol) : null, h("span", text));
    if (at >= narrow) chip.classList.add("wide-only");
    return chip;
  });
  return [...shown, rest(chips.slice(wide), "wide-only"), rest(chips.slice(narrow), "narrow-only")];
}

/** How many chips fit beside the number of the others; the first always does, cut if needed. */
function fitting(chips, room) {
  let left = room;
  const fit = chips.findIndex(({ text, symbol }, at) => {
    left -= text.length + (symbol ? 2 : 1) * PADDING;
    return left < (at + 1 < chips.length ? REST : 0);
  });
  return fit < 0 ? chips.length : Math.max(1, fit);
}

function rest(chips, where) {
  if (!chips.length) return null;
  return h(`span.chip.steady.${where}`, { title: chips.map(({ text }) => text).join(", ") }, `+${chips.length}`);
}

/** Each category once, the surest first, with its number of detected objects. Categories from the classifier alone are
 * marked, and left out where the detector has another word for them. */
function chipsOf({ categories }) {
  const known = categories ?? [];
  const detected = known.filter(({ objects }) => objects).map(({ category }) => category);
  return known
    .filter(({ category, objects }) => objects || !meansOne(category, detected))
    .map(({ category, objects }) => {
      if (!objects) return { text: category, symbol: "tag", title: `${category}, by the classifier` };
      return { text: objects > 1 ? `${objects} × ${category}` : category };
    });
}
