// What was found, drawn over the original: objects, faces with their landmarks, categories. Each kind can be switched.

import { fill, h, s } from "./dom.js";
import { imageUrl } from "./api.js";
import { icon } from "./icons.js";
import { marked, placeAll } from "./marks.js";

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
    faces: (document?.faces ?? []).map((one) => ({
      ...plain(one),
      label: "face",
      score: one.score,
      landmarks: one.landmarks,
      embedding: one.embedding,
    })),
    categories: (document?.categories ?? []).map((one) => ({
      ...plain(one),
      label: one.category,
      score: one.confidence,
    })),
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
      groups[name] = s(
        `g.${name}`,
        things[name].map((thing, at) => marked(thing, name, at)),
      );
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
    fill(
      switches,
      KINDS.map((kind) => makeSwitch(kind, things[kind.name].length, shown[kind.name], turn)),
    );
  }

  function turn(name, on) {
    shown[name] = on;
    groups[name]?.toggleAttribute("hidden", !on);
    scale();
  }

  /** Keep texts and lines the same on the screen, however large the picture is. */
  function scale() {
    const order = [...KINDS].reverse().map(({ name }) => groups[name]);
    if (size && frame.clientWidth) placeAll(order, frame.clientWidth, size);
  }

  image.addEventListener("load", () => things && draw(things, size));
  new ResizeObserver(scale).observe(frame);
  return { root, image, draw, light: (kind, index) => stress(drawing, kind, index) };
}

function stress(drawing, kind, index) {
  drawing.classList.toggle("lighting", kind !== null);
  for (const mark of drawing.querySelectorAll("g.mark")) {
    mark.classList.toggle("lit", mark.dataset.kind === kind && mark.dataset.index === String(index));
  }
}

function makeSwitch({ name, label, icon: symbol }, count, on, turn) {
  const box = h("input", { type: "checkbox", id: `show-${name}`, checked: on, disabled: count === 0 });
  box.addEventListener("change", () => turn(name, box.checked));
  return h(`label.switch.${name}`, { for: box.id }, box, icon(symbol), h("span", label), h("b", count));
}
