// The actions on a picture.

import { SHOWN, STAGES, imageUrl, processAgain, remove, replay } from "./api.js";
import { confirmed } from "./dialog.js";
import { fill, h, toast } from "./dom.js";
import { note } from "./events.js";
import { icon } from "./icons.js";

/** Make the bar of actions; it changes with the status only, so that the focus stays. */
export function makeActions(id, look) {
  const root = h("div.actions", { role: "group", "aria-label": "What to do with this picture" });
  const lost = new Map(); // name of a picture → why it cannot be downloaded
  let key = null;
  let menu = h("span");
  let remake = () => menu;
  function draw(status) {
    const done = SHOWN.filter(({ name, stage }) => name === "original" || status.stages?.[stage]?.state === "done");
    const next = JSON.stringify([status.status, status.run, done.length]);
    if (key === next) return;
    key = next;
    remake = () => (menu = downloads(id, status, done, lost));
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
      remake(),
      h("button.danger.quiet", { type: "button", onclick: () => erase(id, status) }, icon("trash"), "Delete"),
    );
  }
  /** Record why one of the pictures cannot be downloaded; "" if it can. */
  function lose(name, why) {
    if ((lost.get(name) ?? "") === why) return;
    if (why) lost.set(name, why);
    else lost.delete(name);
    menu.replaceWith(remake()); // the other buttons stay, with the focus on them
  }
  return { root, draw, lose };
}

async function replayOne(id) {
  const { refused } = await replay([id]);
  if (refused.length) throw new Error(refused[0].detail);
}

/** Run an action with its button disabled; show the result. */
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

function downloads(id, status, done, lost) {
  const stem = (status.filename ?? id).replace(/\.[^.]*$/, "");
  const links = done.map(({ name, label }) =>
    lost.has(name)
      ? h("li", h("span.off", `${label} (${lost.get(name)})`))
      : h("li", h("a", { href: imageUrl(id, name), download: `${stem}.${name}.jpg` }, label)),
  );
  if (done.every(({ name }) => lost.has(name)))
    return h("button", { type: "button", disabled: true, title: `The picture: ${lost.get("original")}` }, icon("download"), "Download");
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
    note({ type: "deleted", image_id: id }); // the line's own event may come later than the list
    toast("Deleted");
    location.hash = "#/";
  } catch (error) {
    toast(error.message, "error");
  }
}
