// How sure something is.

import { h } from "./dom.js";
import { sure } from "./format.js";

/** A bar with its number. */
export function confidence(score) {
  return [
    h("span.bar", { "aria-hidden": "true" }, h("i", { style: { width: `${Math.round(100 * score)}%` } })),
    h("span.number", sure(score)),
  ];
}
