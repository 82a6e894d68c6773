// Failed pictures, with their reasons; each can be replayed, or all at once.

import { images, pictureHash, replay } from "./api.js";
import { confirmed } from "./dialog.js";
import { fill, h, throttled, toast } from "./dom.js";
import { ago, plural } from "./format.js";
import { icon } from "./icons.js";

const SHOWN = 20;

/** Make the panel; `look()` reloads it. */
export function makeFailed() {
  const all = h("button", { type: "button", hidden: true, onclick: () => replayAll() }, icon("again"), "Replay all");
  const body = h("div");
  const root = h(
    "section.panel",
    { "aria-labelledby": "failed-title" },
    h("header.panel-head", h("h2", { id: "failed-title" }, "Failed pictures"), all),
    body,
  );
  let key = null;
  const look = throttled(1500, async () => {
    try {
      const answer = await images({ status: "failed", limit: SHOWN });
      const next = JSON.stringify(answer.images.map(({ image_id, run, reason }) => [image_id, run, reason]));
      if (next === key) return;
      key = next;
      all.hidden = !answer.images.length;
      draw(body, answer, look);
    } catch (error) {
      key = null;
      fill(body, h("p.quiet-text", `They cannot be listed: ${error.message}`));
    }
  });
  async function replayAll() {
    const sure = await confirmed(
      "Replay every failed picture?",
      "Each is sent down the line again, from the stage where it failed.",
      "Replay all",
    );
    if (sure) await send(null, all, look);
  }
  return { root, look };
}

function draw(body, { images: rows, next_cursor: more }, look) {
  if (!rows.length) {
    fill(body, h("p.good-news", icon("check"), "No failed pictures."));
    return;
  }
  fill(
    body,
    h(
      "ul.failed-list",
      rows.map((row) => line(row, look)),
    ),
    more ? h("p", h("a", { href: "#/?status=failed" }, "All failed pictures")) : null,
  );
}

function line(row, look) {
  const name = row.filename || row.image_id;
  const button = h(
    "button",
    { type: "button", "aria-label": `Replay ${name}`, onclick: () => send([row.image_id], button, look) },
    icon("again"),
    "Replay",
  );
  return h(
    "li",
    { data: { id: row.image_id } },
    h(
      "div.failed-text",
      h("a.failed-name", { href: pictureHash(row.image_id), title: name }, name),
      h("p", row.failed_stage ? h("b", `${row.failed_stage}: `) : null, row.reason ?? "no reason was noted"),
    ),
    h("span.quiet-text", ago(row.completed_at ?? row.updated_at)),
    button,
  );
}

async function send(ids, button, look) {
  button.disabled = true;
  try {
    const { replayed, refused } = await replay(ids);
    if (replayed.length) toast(`${plural(replayed.length, "picture")} sent down the line again`);
    if (refused.length) toast(refused[0].detail, "error");
  } catch (error) {
    toast(error.message, "error");
  }
  button.disabled = false;
  look();
}
