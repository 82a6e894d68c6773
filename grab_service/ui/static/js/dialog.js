// Dialogs: the browser's own <dialog> keeps the focus inside, and Escape closes it.

import { h } from "./dom.js";
import { icon } from "./icons.js";

/** Open a dialog with a title; it is gone once closed. Returns the element. */
export function openDialog(className, title, ...content) {
  const dialog = h(
    `dialog.${className}`,
    { "aria-label": title },
    h(
      "div.dialog-head",
      h("h2", title),
      h("button.icon-button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, icon("cross")),
    ),
    content,
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something that cannot be undone; resolves to whether it was confirmed. */
export function confirmed(title, sentence, verb) {
  return new Promise((done) => {
    const yes = h("button.danger", { type: "button", onclick: () => dialog.close("yes") }, verb);
    const no = h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel");
    const dialog = openDialog("ask", title, h("p", sentence), h("div.dialog-actions", no, yes));
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"));
  });
}
