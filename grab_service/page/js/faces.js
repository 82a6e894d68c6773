// A face, cut out of its picture; and the faces elsewhere that are like it.

import { imageUrl, pictureHash, similarFaces } from "./api.js";
import { fill, h } from "./dom.js";
import { sure } from "./format.js";
import { icon } from "./icons.js";
import { confidence } from "./meter.js";

const SIDE = 112; // of the cut, in its own pixels
const AROUND = 0.25;

/** One face of a picture, with its button to find similar ones. */
export function makeFace(id, thing, index, overlay) {
  const light = () => overlay.light("faces", index);
  const dark = () => overlay.light(null);
  const canvas = crop(overlay.image, thing.box, `Face ${index + 1}`);
  if (!thing.embedding) {
    // nothing to compare by: see the note below the faces
    return h(
      "li.face",
      { onmouseenter: light, onmouseleave: dark, onclick: light },
      h(
        "div.face-row.plain",
        { tabindex: "0", role: "group", "aria-label": `Face ${index + 1}`, onfocus: light, onblur: dark },
        canvas,
        h("span.finding-label", `Face ${index + 1}`),
        confidence(thing.score),
      ),
    );
  }
  const similar = h("div.similar", { hidden: true });
  const button = h(
    "button.quiet",
    {
      type: "button",
      "aria-expanded": "false",
      onfocus: light,
      onblur: dark,
      onclick: () => toggle(id, index, button, similar),
    },
    icon("search"),
    "Similar faces",
  );
  return h(
    "li.face",
    { onmouseenter: light, onmouseleave: dark, onclick: light },
    h("div.face-row", canvas, h("span.finding-label", `Face ${index + 1}`), confidence(thing.score), button),
    similar,
  );
}

/** Why similar faces cannot be asked for, where none of a picture's has an embedding. */
export function whyNone(faces, missing) {
  if (faces.some(({ embedding }) => embedding)) return null;
  const lacking = missing.length ? `: ${missing.join(", ")} is not installed` : "";
  return h("p.quiet-text", `Similar faces cannot be looked for, since these were not embedded${lacking}.`);
}

function crop(image, box, label) {
  const canvas = h("canvas.crop", { width: SIDE, height: SIDE, role: "img", "aria-label": label });
  const draw = () => image.naturalWidth && cut(canvas, image, box);
  if (image.naturalWidth) draw();
  else image.addEventListener("load", draw, { once: true });
  return canvas;
}

function cut(canvas, image, [x1, y1, x2, y2]) {
  const side = Math.max(x2 - x1, y2 - y1) * (1 + AROUND);
  const [x, y] = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, x, y, side, side, 0, 0, SIDE, SIDE);
}

async function toggle(id, index, button, similar) {
  similar.hidden = !similar.hidden;
  button.setAttribute("aria-expanded", String(!similar.hidden));
  if (similar.hidden) return;
  fill(similar, h("p.quiet-text", "Looking…"));
  try {
    const answer = await similarFaces(id, index);
    const others = answer.faces.filter((face) => face.image_id !== id || face.face !== index);
    if (!others.length) fill(similar, h("p.quiet-text", "There is no other face to compare with yet."));
    else
      fill(
        similar,
        h("ul.similar-list", others.map(other)),
        h("p.quiet-text", "compared by ", h("code.model", answer.model)),
      );
  } catch (error) {
    fill(similar, h("p.quiet-text.bad", icon("alert"), error.message));
  }
}

function other(face) {
  const image = new Image();
  image.src = imageUrl(face.image_id, "original");
  return h(
    "li",
    h(
      "a",
      { href: pictureHash(face.image_id), title: face.filename ?? face.image_id },
      crop(image, face.box, `A face in ${face.filename ?? face.image_id}`),
      h("span.number", sure(face.similarity)),
    ),
  );
}
