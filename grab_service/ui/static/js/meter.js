// The label, the confidence and the model of a finding.

import { h } from "./dom.js";
import { sure } from "./format.js";

/** A bar with its number. */
export function confidence(score) {
  return [
    h("span.bar", { "aria-hidden": "true" }, h("i", { style: { width: `${Math.round(100 * score)}%` } })),
    h("span.number", sure(score)),
  ];
}

/** The name of a model, with its sha256 as a tooltip. */
export const modelCode = ({ model, sha }) => h("code.model", { title: `sha256 ${sha ?? "unknown"}` }, model);

/** The label of a thing, the `place`th of `many` alike: written once, in the first row. */
export function labelled({ label }, place, many) {
  const which = many > 1 ? h("small", `${place} of ${many}`) : null;
  return h("span.finding-label", place === 1 ? [h("span", label), " "] : null, which);
}

/** The same as text for screen readers. */
export const spoken = ({ label, score }, place, many) =>
  [label, many > 1 ? `${place} of ${many}` : null, sure(score)].filter(Boolean).join(", ");
