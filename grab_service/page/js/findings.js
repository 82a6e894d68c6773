// What was found, as lists: how sure, and by which model; faces with those that are like them.

import { fill, h } from "./dom.js";
import { makeFace, whyNone } from "./faces.js";
import { confidence } from "./meter.js";
import { plural, sure } from "./format.js";
import { KINDS } from "./overlay.js";

/** Make the lists beside a picture; pointing at a row stresses its box in the overlay. */
export function makeFindings(id, overlay) {
  const root = h("div.findings");
  let key = null;
  function draw(things, status, facts) {
    const next = JSON.stringify([things, status.status, status.stages?.detect?.state, facts]);
    if (key === next) return;
    key = next;
    const any = KINDS.some(({ name }) => things[name].length);
    const sections = () => KINDS.map((kind) => section(id, kind, things[kind.name], overlay, status, facts));
    fill(root, any ? sections() : nothing(status));
  }
  return { root, draw };
}

function nothing({ status, results, stages }) {
  const looked = (stages ?? results?.stages)?.detect?.state === "done";
  const missing = results?.missing_models ?? [];
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
    status === "completed" && missing.length ? h("p", `Not installed: ${missing.join(", ")}.`) : null,
  );
}

function section(id, { name, label }, things, overlay, status, facts) {
  if (!things.length) return null;
  const models = [...new Set(things.map(({ model }) => model).filter(Boolean))];
  const rows = things.map((thing, index) =>
    name === "faces" ? makeFace(id, thing, index, overlay, facts) : row(thing, name, index, overlay, models.length > 1),
  );
  return h(
    "section.finding-group",
    { "aria-label": label },
    h(
      "header",
      h("h2", label, h("span.group-count", things.length)),
      models.length === 1 ? h("code.model", { title: `sha256 ${things[0].sha ?? "unknown"}` }, models[0]) : null,
    ),
    h(`ul.finding-list.${name}`, { "aria-label": plural(things.length, "finding") }, rows),
    name === "faces" && status.status === "completed" ? whyNone(things, status.results?.missing_models ?? []) : null,
  );
}

function row(thing, kind, index, overlay, withModel) {
  const light = () => overlay.light(kind, index);
  const dark = () => overlay.light(null);
  const where = thing.box ? "" : ", the whole picture";
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
        "aria-label": `${thing.label}, ${sure(thing.score)}${where}`,
      },
      h("span.finding-label", thing.label, thing.box ? null : h("small", " picture")),
      confidence(thing.score),
    ),
    withModel ? h("code.model", { title: `sha256 ${thing.sha ?? "unknown"}` }, thing.model) : null,
  );
}
