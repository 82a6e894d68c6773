// A face, cropped from its picture, and similar faces in other pictures.

import { imageUrl, pictureHash, similarFaces } from "./api.js";
import { fill, h } from "./dom.js";
import { share } from "./format.js";
import { icon } from "./icons.js";
import { confidence } from "./meter.js";
import { cut, factsOf } from "./upright.js";

const AROUND = 0.25;

/** One face of a picture, with its button to find similar ones. */
export function makeFace(id, thing, index, overlay, facts) {
  const light = () => overlay.light("faces", index);
  const dark = () => overlay.light(null);
  const face = crop(imageUrl(id, "original"), facts, thing.box, `Face ${index + 1}`);
  if (!thing.embedding) {
    // no embedding: see the note below the faces
    return h(
      "li.face",
      { onmouseenter: light, onmouseleave: dark, onclick: light },
      h(
        "div.face-row.plain",
        { tabindex: "0", role: "group", "aria-label": `Face ${index + 1}`, onfocus: light, onblur: dark },
        face,
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
    h("div.face-row", face, h("span.finding-label", `Face ${index + 1}`), confidence(thing.score), button),
    similar,
  );
}

const crop = (url, facts, box, label) => (facts.size ? cut(".crop", url, facts, box, AROUND, label) : h("span.crop"));

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

/** A face elsewhere; cut from the resized picture, which is upright, and a fraction of the original's bytes. */
function other(face) {
  const label = `A face in ${face.filename ?? face.image_id}`;
  return h(
    "li",
    h(
      "a",
      { href: pictureHash(face.image_id), title: face.filename ?? face.image_id },
      crop(imageUrl(face.image_id, "resized"), factsOf(face), face.box, label),
      h("span.number", share(face.similarity)),
    ),
  );
}
