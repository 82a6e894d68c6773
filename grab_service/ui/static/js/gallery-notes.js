// The texts of the gallery in place of pictures.

import { h } from "./dom.js";
import { number } from "./format.js";
import { icon } from "./icons.js";

/** The request failed. */
export const notListed = (error, again) =>
  h(
    "div.empty",
    icon("alert"),
    h("h2", "The pictures cannot be listed"),
    h("p", error.message),
    h("button", { type: "button", onclick: again }, icon("again"), "Try again"),
  );

/** Nothing passes the filters: among so many of the newest pictures, or (0) among all. */
export function noneLikeThat(looked) {
  const among = looked
    ? `None among the ${number(looked)} newest; there are older ones.`
    : "Change or clear the filters.";
  return h("div.empty", icon("search"), h("h2", "No picture is like that"), h("p", among));
}

/** A line without pictures. */
export const noneYet = () =>
  h(
    "div.empty",
    icon("picture"),
    h("h2", "No pictures yet"),
    h("p", "Drop some above, or send one from a terminal:"),
    h("pre.code", `curl -F image=@street.jpg ${location.origin}/upload`),
  );
