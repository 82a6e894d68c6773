// Candidates, each with the reason why it is no category; shown on request. Those that contradict an object are shown
// below the object instead.

import { h } from "./dom.js";
import { grouped, isAbout } from "./found.js";
import { confidence, labelled, modelCode, spoken } from "./meter.js";

const REASONS = {
  unsure: "not sure enough",
  contradicted: "contradicted by the detector",
  unconfirmed: "not confirmed by what was detected",
  guessed: "", // in the list's title
};

/** Make the list; `draw(things)` returns it, or null where it is empty. It stays open when redrawn. */
export function makeCandidates(overlay) {
  let open = false;
  function draw(things) {
    const count = things.candidates.length + things.guesses.length;
    if (!count) return null;
    const whole = things.candidates.filter(({ box }) => !box);
    const objects = things.candidates.filter(({ box }) => box);
    const details = h(
      "details.candidates",
      { open },
      h("summary", "Looked at, not named", h("span.group-count", count)),
      part("Whole picture", whole, () => -1, overlay),
      part("Whole picture, guesses", things.guesses, () => -1, overlay),
      part("Objects", objects, (one) => things.objects.findIndex((object) => isAbout(one, object)), overlay),
    );
    details.addEventListener("toggle", () => (open = details.open));
    return details;
  }
  return { draw };
}

function part(title, candidates, indexOf, overlay) {
  if (!candidates.length) return null;
  const one = candidates.every(({ model }) => model === candidates[0].model) ? candidates[0] : null;
  const rows = grouped(candidates, ({ label, reason, detected, model }) => [label, reason, detected, model].join("\n"));
  return h(
    "section",
    { "aria-label": `${title}, not named` },
    h("header", h("h3", title), one?.model ? modelCode(one) : null),
    h("ul.finding-list", rows.map((place) => row(place, indexOf(place.thing), overlay, !one))),
  );
}

/** A candidate; a reason that several share is written once, below the first. */
function row({ thing, place, many }, index, overlay, withModel) {
  const light = () => overlay.light(index < 0 ? null : "objects", index);
  const dark = () => overlay.light(null);
  const facts = [labelled(thing, place, many), confidence(thing.score)];
  const name = { "aria-label": spoken(thing, place, many) };
  return h(
    "li",
    { onmouseenter: light, onmouseleave: dark },
    index < 0
      ? h("div.finding", facts)
      : h("button.finding", { type: "button", onfocus: light, onblur: dark, onclick: light, ...name }, facts),
    place === 1 ? note(thing, withModel) : null,
  );
}

function note(thing, withModel) {
  const why = reason(thing);
  const source = withModel && thing.model ? modelCode(thing) : null;
  return why || source ? h("p.finding-note", why, why && source ? " · " : null, source) : null;
}

function reason({ reason: known, detected }) {
  const text = REASONS[known] ?? known ?? "not named";
  if (!detected) return text;
  return [text, known === "contradicted" ? ", which says " : "; detected as ", h("b", detected)];
}
