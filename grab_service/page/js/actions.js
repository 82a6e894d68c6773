// What can be done with a picture.

import { SHOWN, STAGES, imageUrl, processAgain, remove, replay } from "./api.js";
import { confirmed } from "./dialog.js";
import { fill, h, toast } from "./dom.js";
import { icon } from "./icons.js";

/** Make the bar of actions; it changes with the status only, so that the focus stays. */
export function makeActions(id, look) {
  const root = h("div.actions", { role: "group", "aria-label": "What to do with this picture" });
  let key = null;
  function draw(status) {
    const done = SHOWN.filter(({ name, stage }) => name === "original" || status.stages?.[stage]?.state === "done");
    const next = JSON.stringify([status.status, status.run, done.length]);
    if (key === next) return;
    key = next;
    const still = !["submitted", "processing"].includes(status.status);
    fill(
      root,
      status.status === "waiting"
        ? h(
            "button.primary",
            { type: "button", onclick: doing(() => processAgain(id), "Sent on", look) },
            icon("play"),
            "Send on",
          )
        : null,
      status.status === "failed"
        ? h(
            "button.primary",
            { type: "button", onclick: doing(() => replayOne(id), "Sent down the line again", look) },
            icon("again"),
            "Replay",
          )
        : null,
      still ? runAgain(id, look) : null,
      downloads(id, status, done),
      h("button.danger.quiet", { type: "button", onclick: () => erase(id, status) }, icon("trash"), "Delete"),
    );
  }
  return { root, draw };
}

async function replayOne(id) {
  const { refused } = await replay([id]);
  if (refused.length) throw new Error(refused[0].detail);
}

/** Do something with its button held; say how it went. */
function doing(action, success, look) {
  return async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await action();
      toast(success);
    } catch (error) {
      toast(error.message, "error");
    }
    button.disabled = false;
    look();
  };
}

function runAgain(id, look) {
  const from = h(
    "select",
    { id: "run-from" },
    STAGES.map((stage) => h("option", { value: stage }, stage)),
  );
  return h(
    "span.joined",
    h(
      "button",
      { type: "button", onclick: doing(() => processAgain(id, from.value), "Sent down the line again", look) },
      icon("again"),
      "Run again",
    ),
    h("label", { for: from.id }, h("span", "from"), from),
  );
}

function downloads(id, status, done) {
  const stem = (status.filename ?? id).replace(/\.[^.]*$/, "");
  const links = done.map(({ name, label }) =>
    h("li", h("a", { href: imageUrl(id, name), download: `${stem}.${name}.jpg` }, label)),
  );
  const menu = h("details.menu", h("summary.button", icon("download"), "Download"), h("ul", links));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => menu.contains(event.relatedTarget) || (menu.open = false));
  return menu;
}

async function erase(id, { filename }) {
  const sure = await confirmed(
    "Delete this picture?",
    `“${filename ?? id}”, everything made of it and everything found in it goes. It cannot be undone.`,
    "Delete",
  );
  if (!sure) return;
  try {
    await remove(id);
    toast("Deleted");
    location.hash = "#/";
  } catch (error) {
    toast(error.message, "error");
  }
}
