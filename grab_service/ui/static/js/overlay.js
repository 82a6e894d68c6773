// The findings, drawn over the original: objects, faces with their landmarks, the whole picture's category. Each kind
// can be switched.

import { fill, h, s } from "./dom.js";
import { imageUrl, whyNoPicture } from "./api.js";
import { KINDS } from "./found.js";
import { icon } from "./icons.js";
import { marked, placeAll } from "./marks.js";
import { original } from "./upright.js";

const LAYERS = ["objects", "faces", "picture"]; // the last on top: its labels find their places first

/** Make the viewer of a picture; `draw(things, facts)` shows the boxes, `light(kind, index)` highlights one. */
export function makeOverlay(id) {
  const url = imageUrl(id, "original");
  const drawing = s("svg.overlay", { role: "img", "aria-label": "What was found", preserveAspectRatio: "none" });
  const gone = h("div.viewer-gone", { hidden: true });
  const frame = h("div.viewer-frame", drawing, gone);
  const hint = h("p.quiet-text.viewer-hint", "Tap a box to see what it is.");
  const switches = h("div.switches", { role: "group", "aria-label": "Shown over the picture" });
  const root = h("div.viewer", frame, hint, switches);
  const shown = { picture: true, objects: true, faces: true };
  const groups = {};
  const light = (kind, index) => stress(drawing, kind, index);
  let image = null; // set once the picture is known to exist
  let things = null;
  let facts = null;
  let size = null;

  function draw(next, known) {
    things = next;
    if (!image || JSON.stringify(known) !== JSON.stringify(facts)) showImage(known);
    size = facts.size ?? (image.naturalWidth ? [image.naturalWidth, image.naturalHeight] : null);
    drawSwitches();
    if (!size) return; // the picture's size is known after it has loaded
    drawing.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
    drawing.replaceChildren();
    for (const name of LAYERS) {
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
    const key = LAYERS.map((name) => things[name].length).join();
    if (switches.dataset.key === key) return;
    switches.dataset.key = key;
    switches.hidden = !LAYERS.some((name) => things[name].length);
    fill(
      switches,
      LAYERS.map((name) => makeSwitch(name, things[name].length, shown[name], turn)),
    );
  }

  function turn(name, on) {
    shown[name] = on;
    groups[name]?.toggleAttribute("hidden", !on);
    scale();
  }

  /** Keep texts and lines the same on the screen, however large the picture is. */
  function scale() {
    const order = [...LAYERS].reverse().map((name) => groups[name]);
    if (!size || !frame.clientWidth) return;
    const small = placeAll(order, frame.clientWidth, size);
    root.classList.toggle("small", small);
    hint.hidden = !small || !drawing.querySelector("g:not([hidden]) > .mark .box");
  }

  function showImage(known) {
    facts = known;
    image?.remove();
    image = original(".viewer-image", url, facts, { alt: "The original picture" }, { load: whole, error: broken });
    frame.prepend(image);
  }

  async function broken() {
    image.toggleAttribute("hidden", true);
    drawing.toggleAttribute("hidden", true);
    const { why } = await whyNoPicture(url);
    fill(gone, icon("picture"), h("span", why));
    gone.hidden = !image.hasAttribute("hidden");
  }

  function whole() {
    image.toggleAttribute("hidden", false);
    drawing.toggleAttribute("hidden", false);
    gone.hidden = true;
    if (things) draw(things, facts);
  }

  /** Reload a picture that failed. */
  function retry() {
    if (image?.hasAttribute("hidden")) showImage(facts);
  }

  pointing(drawing, light);
  new ResizeObserver(scale).observe(frame);
  return { root, draw, retry, light };
}

/** A box that is pointed at or tapped shows its label; the smallest where several lie over each other. */
function pointing(drawing, light) {
  const point = (event) => {
    const { left, top, width, height } = drawing.getBoundingClientRect();
    const [, , wide, high] = (drawing.getAttribute("viewBox") ?? "0 0 1 1").split(" ").map(Number);
    const [x, y] = [((event.clientX - left) / width) * wide, ((event.clientY - top) / height) * high];
    const mark = smallestAt(drawing, x, y);
    light(mark?.dataset.kind ?? null, mark?.dataset.index);
  };
  drawing.addEventListener("click", point);
  drawing.addEventListener("pointermove", (event) => event.pointerType === "mouse" && point(event));
  drawing.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && light(null));
}

function smallestAt(drawing, x, y) {
  let best = null;
  let least = Infinity;
  for (const mark of drawing.querySelectorAll("g:not([hidden]) > .mark")) {
    if (!mark.dataset.box) continue;
    const [x1, y1, x2, y2] = mark.dataset.box.split(",").map(Number);
    const area = (x2 - x1) * (y2 - y1);
    if (x < x1 || x > x2 || y < y1 || y > y2 || area >= least) continue;
    [best, least] = [mark, area];
  }
  return best;
}

function stress(drawing, kind, index) {
  drawing.classList.toggle("lighting", kind !== null);
  for (const mark of drawing.querySelectorAll("g.mark")) {
    mark.classList.toggle("lit", mark.dataset.kind === kind && mark.dataset.index === String(index));
  }
}

function makeSwitch(name, count, on, turn) {
  const { label, icon: symbol } = KINDS.find((kind) => kind.name === name);
  const box = h("input", { type: "checkbox", id: `show-${name}`, checked: on, disabled: count === 0 });
  box.addEventListener("change", () => turn(name, box.checked));
  return h(`label.switch.${name}`, { for: box.id }, box, icon(symbol), h("span", label), h("b", count));
}
