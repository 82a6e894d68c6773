// Lists of the findings with confidence and model: the whole picture, its objects, its faces with similar ones, and,
// on request, the candidates.

import { makeCandidates } from "./candidates.js";
import { fill, h } from "./dom.js";
import { makeFace } from "./faces.js";
import { plural, sure } from "./format.js";
import { grouped, KINDS } from "./found.js";
import { lackingNote } from "./lacking.js";
import { confidence, labelled, modelCode, spoken } from "./meter.js";

/** Make the lists beside a picture; pointing at a row highlights its box in the overlay. */
export function makeFindings(id, overlay) {
  const root = h("div.findings");
  const candidates = makeCandidates(overlay);
  let key = null;
  function draw(things, status, facts, report) {
    const lacking = lackingNote(status, things, report);
    const next = JSON.stringify([things, status.status, status.stages?.detect?.state, facts, lacking?.textContent]);
    if (key === next) return;
    key = next;
    const any = KINDS.some(({ name }) => things[name].length);
    const sections = () => KINDS.map((kind) => section(id, kind, things[kind.name], overlay, facts));
    fill(root, any ? sections() : nothing(status), lacking, candidates.draw(things));
  }
  return { root, draw };
}

function nothing({ status, results, stages }) {
  const looked = (stages ?? results?.stages)?.detect?.state === "done";
  const sentence = {
    completed: "Nothing was found in this picture.",
    failed: "It failed before anything was found.",
    waiting: looked
      ? "Detect found nothing in it; it waits to be sent on."
      : "Nothing was found so far; it waits to be sent on.",
  }[status];
  return h(
    "div.findings-none",
    h("h2", "Findings"),
    h("p", sentence ?? "Being looked at; what is found appears here."),
  );
}

function section(id, { name, label }, things, overlay, facts) {
  if (!things.length) return null;
  const models = modelsOf(things);
  const rows =
    name === "faces"
      ? things.map((thing, index) => makeFace(id, thing, index, overlay, facts))
      : grouped(things).map((place) => row(place, name, overlay, models));
  return h(
    "section.finding-group",
    { "aria-label": label },
    h(
      "header",
      h("h2", label, name === "picture" ? null : h("span.group-count", things.length)),
      models.length === 1 ? modelCode(models[0]) : null,
    ),
    h(`ul.finding-list.${name}`, { "aria-label": plural(things.length, "finding") }, rows),
  );
}

/** The models of these findings. */
function modelsOf(things) {
  return [...new Map(things.filter(({ model }) => model).map((one) => [one.model, one])).values()];
}

function row({ thing, index, place, many }, kind, overlay, models) {
  const light = () => overlay.light(kind, index);
  const dark = () => overlay.light(null);
  const known = models.length === 1 && models[0].model === thing.model;
  return h(
    "li",
    { onmouseenter: light, onmouseleave: dark },
    h(
      "button.finding",
      {
        type: "button",
        onfocus: light,
        onblur: dark,
        onclick: light,
        "aria-label": spoken(thing, place, many),
      },
      labelled(thing, place, many),
      confidence(thing.score),
    ),
    known || !thing.model ? null : h("p.finding-note", "by ", modelCode(thing)),
    thing.others.map((other) => h("p.finding-note", opinion(other, thing))),
    (thing.doubts ?? []).map((other) => h("p.finding-note.doubt", opinion(other, thing))),
  );
}

/** Another answer about a finding. */
function opinion(other, { label }) {
  const much = `, ${sure(other.score)}`;
  const source = other.model ? modelCode(other) : "the classifier";
  if (other.label === label) return ["also ", source, much];
  if (other.against === false) return ["also ", source, `${much}, as ${other.label}`];
  return [source, " says ", h("b", other.label), much];
}
