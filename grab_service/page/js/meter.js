// How sure something is, and who says it.

import { h } from "./dom.js";
import { sure } from "./format.js";

/** A bar with its number. */
export function confidence(score) {
  return [
    h("span.bar", { "aria-hidden": "true" }, h("i", { style: { width: `${Math.round(100 * score)}%` } })),
    h("span.number", sure(score)),
  ];
}

/** The name of a model, which tells its sha256 when pointed at. */
export const modelCode = ({ model, sha }) => h("code.model", { title: `sha256 ${sha ?? "unknown"}` }, model);
