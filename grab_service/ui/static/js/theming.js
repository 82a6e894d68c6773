// Light, dark, or as the system has it; remembered where storage is allowed.

import { fill } from "./dom.js";
import { icon } from "./icons.js";

const KEY = "stageline-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");

function draw(button) {
  const other = current() === "dark" ? "light" : "dark";
  fill(button, icon(other === "dark" ? "moon" : "sun"));
  button.setAttribute("aria-label", `Use the ${other} scheme`);
  button.title = `Use the ${other} scheme`;
}

/** Make the button in the header work. */
export function startTheme() {
  const button = document.getElementById("theme");
  button.addEventListener("click", () => {
    const chosen = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // Not remembered, then.
    }
    draw(button);
  });
  dark.addEventListener("change", () => draw(button));
  draw(button);
}
