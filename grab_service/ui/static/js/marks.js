// A mark over a picture: its box, its landmarks, and a label that covers no other.

import { s } from "./dom.js";
import { sure } from "./format.js";

const TEXT_PX = 12;
const SMALL = 480; // on a picture that is narrower, labels would hide most of it: only that of a lit mark is shown

/** Place the marks of groups, the first before the others, on a picture of `size`, `width` wide on the screen; returns
 * whether that is small. */
export function placeAll(groups, width, size) {
  const unit = size[0] / width;
  const high = TEXT_PX * 1.5 * unit;
  const taken = [];
  for (const group of groups) {
    for (const mark of group.children) place(mark, [unit, high], size, group.hasAttribute("hidden") ? [] : taken);
  }
  return width < SMALL;
}

/** The mark of a found thing. */
export function marked({ label, score, box, landmarks, others }, kind, index) {
  const contradicting = (others ?? []).filter(({ against }) => against);
  const said = [{ label, score }, ...contradicting].map((one) => `${one.label} ${sure(one.score)}`);
  const text = `${box ? "" : "picture: "}${said.join(" · ")}`;
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
  const free = ([x, y]) =>
    taken.every((one) => x >= one.x + one.wide || one.x >= x + wide || y >= one.y + high || one.y >= y + high);
  const spots = spotsOf(
    mark.dataset.box ? mark.dataset.box.split(",").map(Number) : null,
    [width, height],
    wide,
    high,
    unit,
  ).map(fit);
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
  return [
    [x1, above],
    [x2 - wide, above],
    [x1, y1],
    [x1, y2],
    [x2 - wide, y2],
    [x1, y2 - high],
    [x1, Math.min(height, (y1 + y2) / 2)],
  ];
}

function setAll(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
