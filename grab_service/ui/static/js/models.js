// The models: the served version, other versions, the licence and the accuracy.

import { models } from "./api.js";
import { fill, h } from "./dom.js";
import { icon } from "./icons.js";

/** Make the panel; `look()` reloads it. */
export function makeModels() {
  const body = h("div");
  const root = h(
    "section.panel",
    { "aria-labelledby": "models-title" },
    h("h2", { id: "models-title" }, "Models"),
    body,
  );
  let key = null;
  async function look() {
    try {
      const answer = await models();
      const next = JSON.stringify(answer);
      if (next !== key) fill(body, h("ul.models", answer.models.map(model)));
      key = next;
    } catch (error) {
      key = null;
      fill(body, h("p.quiet-text", `They cannot be listed: ${error.message}`));
    }
  }
  return { root, look };
}

function model(one) {
  const card = one.card ?? {};
  const others = (one.versions ?? []).filter((version) => `${one.name}@${version}` !== one.serving);
  return h(
    "li.model-row",
    h("div.model-name", h("b", one.name), h("span.quiet-text", (one.task ?? "").replaceAll("-", " "))),
    h(
      "div.model-serving",
      one.serving
        ? h(
            "span.badge",
            { data: { status: "completed" } },
            icon("check"),
            h("span", `serving ${version(one.serving)}`),
          )
        : h(
            "span.badge",
            { data: { status: "waiting" } },
            icon("pause"),
            h("span", one.installed ? "not serving" : "not installed"),
          ),
    ),
    h("div.model-about", about(one, card, others)),
  );
}

const version = (reference) => reference.split("@").at(-1);

function about(one, card, others) {
  const parts = [];
  if (card.title) parts.push(h("p", card.title));
  const facts = [
    card.licence,
    ...accuracies(card),
    others.length ? `also there: ${others.join(", ")}` : null,
    one.previous ? `before: ${version(one.previous)}` : null,
  ];
  const text = facts.filter(Boolean).join(" · ");
  if (text) parts.push(h("p.quiet-text", text));
  if (!one.installed && one.how_to_get) parts.push(h("p.quiet-text", one.how_to_get));
  return parts;
}

function accuracies(card) {
  return [card.accuracy ?? []].flat().map((measured) => {
    if (typeof measured === "string") return measured;
    const { metric, value, dataset } = measured ?? {};
    if (value === undefined) return null;
    const shown = typeof value === "number" && value <= 1 ? `${(100 * value).toFixed(1)} %` : value;
    return [metric, shown, dataset && `on ${dataset}`].filter(Boolean).join(" ");
  });
}
