// What was found, drawn over the original: objects, faces with their landmarks, categories. Each kind can be switched.

import { fill, h, s } from "./dom.js";
import { imageUrl } from "./api.js";
import { sure } from "./format.js";
import { icon } from "./icons.js";

const TEXT_PX = 12;
const SMALL_TEXT_PX = 9.5; // on a picture that is narrower than this:
const SMALL = 480;
export const KINDS = [
  { name: "objects", label: "Objects", icon: "box" },
  { name: "faces", label: "Faces", icon: "face" },
  { name: "categories", label: "Categories", icon: "tag" },
];

/** The found things of a results document, each kind as [{label, score, box, landmarks?, model, sha}]. */
export function found(document) {
  const plain = ({ box, model, model_sha256 }) => ({ box: box ?? null, model, sha: model_sha256 });
  return {
    objects: (document?.detections ?? []).map((one) => ({ ...plain(one), label: one.label, score: one.score })),
    faces: (document?.faces ?? []).map((one) => ({ ...plain(one), label: "face", score: one.score, landmarks: one.landmarks, embedding: one.embedding })),
    categories: (document?.categories ?? []).map((one) => ({ ...plain(one), label: one.category, score: one.confidence })),
  };
}

/** Make the viewer of a picture; `draw(things, size)` shows the boxes, `light(kind, index)` stresses one. */
export function makeOverlay(id) {
  const image = h("img.viewer-image", { alt: "The original picture" });
  const drawing = s("svg.overlay", { role: "img", "aria-label": "What was found", preserveAspectRatio: "none" });
  const frame = h("div.viewer-frame", image, drawing);
  const switches = h("div.switches", { role: "group", "aria-label": "Shown over the picture" });
  const root = h("div.viewer", frame, switches);
  const shown = { objects: true, faces: true, categories: true };
  const groups = {};
  let things = null;
  let size = null;

  function draw(next, known) {
    things = next;
    if (!image.src) image.src = imageUrl(id, "original"); // not before it is known that there is such a picture
    size = known?.[0] ? known : image.naturalWidth ? [image.naturalWidth, image.naturalHeight] : null;
    drawSwitches();
    if (!size) return; // the picture's own size is known once it is here
    drawing.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    drawing.replaceChildren();
    for (const { name } of KINDS) {
      groups[name] = s(`g.${name}`, things[name].map((thing, at) => marked(thing, name, at)));
      groups[name].toggleAttribute("hidden", !shown[name]);
      drawing.append(groups[name]);
    }
    scale();
  }

  function drawSwitches() {
    const key = KINDS.map(({ name }) => things[name].length).join();
    if (switches.dataset.key === key) return;
    switches.dataset.key = key;
    switches.hidden = !KINDS.some(({ name }) => things[name].length);
    fill(switches, KINDS.map((kind) => makeSwitch(kind)));
  }

  function makeSwitch({ name, label, icon: symbol }) {
    const count = things[name].length;
    const box = h("input", { type: "checkbox", id: `show-${name}`, checked: shown[name], disabled: count === 0 });
    box.addEventListener("change", () => {
      shown[name] = box.checked;
      groups[name]?.toggleAttribute("hidden", !box.checked);
      scale();
    });
    return h(`label.switch.${name}`, { for: box.id }, box, icon(symbol), h("span", label), h("b", count));
  }

  /** Keep texts and lines the same on the screen, however large the picture is. */
  function scale() {
    const width = frame.clientWidth;
    if (!size || !width) return;
    const unit = size[0] / width;
    const high = (width < SMALL ? SMALL_TEXT_PX : TEXT_PX) * 1.5 * unit;
    const taken = [];
    for (const { name } of [...KINDS].reverse()) {
      for (const mark of groups[name]?.children ?? []) place(mark, [unit, high], size, shown[name] ? taken : []);
    }
  }

  image.addEventListener("load", () => things && draw(things, size));
  new ResizeObserver(scale).observe(frame);
  return {
    root, image, draw,
    light: (kind, index) => {
      drawing.classList.toggle("lighting", kind !== null);
      for (const mark of drawing.querySelectorAll("g.mark")) {
        mark.classList.toggle("lit", mark.dataset.kind === kind && mark.dataset.index === String(index));
      }
    },
  };
}

function marked({ label, score, box, landmarks }, kind, index) {
  const text = `${label} ${sure(score)}`;
  const mark = s("g.mark", { data: { kind, index: String(index), box: box ? box.join() : "" } });
  if (box) {
    const [x1, y1, x2, y2] = box;
    const size = { x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) };
    mark.append(s("rect.halo", size), s("rect.box", size));
    for (const [x, y] of landmarks ?? []) mark.append(s("circle.landmark", { cx: x, cy: y }));
  }
  mark.append(s("rect.plate"), s("text", text));
  return mark;
}

/** Put a mark's label where it covers no other: above its box, inside, below, at the right; `taken` are those put.
 * Where it would cover one wherever it is put, it shows only when its finding is pointed at. */
function place(mark, [unit, high], [width, height], taken) {
  const plate = mark.querySelector(".plate");
  const text = mark.querySelector("text");
  text.setAttribute("font-size", high / 1.5);
  const wide = text.getComputedTextLength() + 10 * unit;
  const fit = ([x, y]) => [Math.max(0, Math.min(width - wide, x)), Math.max(0, Math.min(height - high, y))];
  const free = ([x, y]) => taken.every((one) => x >= one.x + one.wide || one.x >= x + wide || y >= one.y + high || one.y >= y + high);
  const spots = spotsOf(mark.dataset.box ? mark.dataset.box.split(",").map(Number) : null, [width, height], wide, high, unit).map(fit);
  const spot = spots.find(free);
  const [x, y] = spot ?? spots[0];
  mark.classList.toggle("crowded", !spot);
  if (spot) taken.push({ x, y, wide });
  setAll(plate, { x, y, width: wide, height: high, rx: 3 * unit });
  setAll(text, { x: x + 5 * unit, y: y + high * 0.7 });
  for (const dot of mark.querySelectorAll(".landmark")) dot.setAttribute("r", 2.8 * unit);
}

function spotsOf(box, [width, height], wide, high, unit) {
  const gap = 6 * unit;
  if (!box) return Array.from({ length: 12 }, (_, at) => [width - wide - gap, gap + at * high * 1.15]);
  const [x1, y1, x2, y2] = box;
  const above = y1 >= high ? y1 - high : y1;
  return [[x1, above], [x2 - wide, above], [x1, y1], [x1, y2], [x2 - wide, y2], [x1, y2 - high], [x1, Math.min(height, (y1 + y2) / 2)]];
}

function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
