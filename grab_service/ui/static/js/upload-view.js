// The drop zone, and the result of each upload.

import { pictureHash } from "./api.js";
import { announce, fill, h, setText, throttled, toast } from "./dom.js";
import { trouble } from "./events.js";
import { dropped, pick } from "./files.js";
import { bytes, plural } from "./format.js";
import { icon } from "./icons.js";
import { add, cancel, clearEnded, ended, items, onUpload, paused } from "./upload.js";

const rows = new Map();
const dirty = new Set();
const zone = h("section.drop", { "aria-labelledby": "drop-title" });
const list = h("ul.upload-list", { tabindex: "0", "aria-label": "Uploads" });
const headline = h("p.upload-headline");
const overall = h("progress", { max: "1", value: 0, "aria-label": "All uploads" });
const stop = h("button.quiet", { type: "button", onclick: cancel }, "Cancel the rest");
const clear = h("button.quiet", { type: "button", onclick: clearEnded }, "Clear");
const panel = h(
  "section.uploads",
  { hidden: true, "aria-label": "Progress of uploads" },
  h("div.upload-head", headline, h("div.upload-buttons", stop, clear)),
  overall,
  list,
);
const wait = h("input", { type: "checkbox", id: "only-preprocess" });
const dedupe = h("input", { type: "checkbox", id: "skip-duplicates" });
let said = 0;

/** The drop zone and the list of uploads; made once, so that uploads continue in every view. */
export function uploadView() {
  if (!zone.firstChild) build();
  return [zone, panel];
}

function build() {
  const files = fileInput("file-input", { multiple: true, accept: "image/*" }, (chosen) =>
    take({ files: [...chosen], leftOut: 0 }),
  );
  const folder = fileInput("folder-input", { webkitdirectory: true }, (chosen) => take(pick(chosen)));
  fill(
    zone,
    h("div.drop-art", icon("upload")),
    h(
      "div.drop-text",
      h(
        "h2",
        { id: "drop-title" },
        h("span.wide-only", "Drop pictures or folders anywhere"),
        h("span.narrow-only", "Send pictures"),
      ),
      h("p", "JPEG, PNG, WebP, GIF or BMP; as many as you like."),
    ),
    h(
      "div.drop-actions",
      h(
        "button.primary",
        { type: "button", id: "choose-files", onclick: () => files.click() },
        icon("picture"),
        h("span", "Choose pictures"),
      ),
      h(
        "button",
        { type: "button", id: "choose-folder", onclick: () => folder.click() },
        icon("folder"),
        h("span", h("span.wide-only", "Choose a folder"), h("span.narrow-only", "Folder")),
      ),
    ),
    h(
      "div.drop-options",
      h(
        "label.check",
        { for: "only-preprocess", title: "The line stops after detect; send the picture on from its page" },
        wait,
        "Only preprocess, wait for me",
      ),
      h(
        "label.check",
        { for: "skip-duplicates", title: "A picture that is already here is not taken twice" },
        dedupe,
        "Skip duplicates",
      ),
    ),
    files,
    folder,
  );
  onUpload((item) => {
    if (item) dirty.add(item);
    else items.forEach((one) => dirty.add(one));
    draw();
  });
  setInterval(() => items.some((item) => !ended(item)) && drawHead(), 500);
  catchDrops();
}

function fileInput(id, props, use) {
  const input = h("input.visually-hidden", { type: "file", id, tabindex: "-1", "aria-hidden": "true", ...props });
  input.addEventListener("change", () => {
    use(input.files);
    input.value = ""; // the same file may be chosen again
  });
  return input;
}

function take({ files, leftOut }) {
  if (leftOut) toast(`${plural(leftOut, "other file")} in the folder left out`);
  if (!files.length && !leftOut) return;
  if (!files.length) toast("There are no pictures in that folder", "error");
  add(files, { process: !wait.checked, dedupe: dedupe.checked });
}

function catchDrops() {
  let depth = 0;
  const has = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const light = (on) => document.documentElement.classList.toggle("dragging", on);
  addEventListener("dragenter", (event) => has(event) && light(++depth > 0));
  addEventListener("dragleave", (event) => has(event) && light(--depth > 0));
  addEventListener("dragover", (event) => has(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!has(event)) return;
    event.preventDefault();
    light((depth = 0) > 0);
    try {
      take(await dropped(event.dataTransfer));
    } catch (error) {
      toast(`What was dropped cannot be read: ${error.message}`, "error");
    }
  });
}

const draw = throttled(80, () => {
  for (const [item, row] of rows) {
    if (items.includes(item)) continue;
    row.root.remove();
    rows.delete(item);
  }
  for (const item of dirty) {
    if (!items.includes(item)) continue;
    if (!rows.has(item)) rows.set(item, makeRow(item));
    drawRow(rows.get(item), item);
  }
  dirty.clear();
  panel.hidden = !items.length;
  drawHead();
});

function makeRow(item) {
  const row = {
    name: h("span.upload-name", { title: item.name }, item.name),
    note: h("span.upload-note"),
    bar: h("progress", { max: "1", value: 0, "aria-label": `Upload of ${item.name}` }),
    mark: h("span.upload-mark"),
  };
  row.root = h("li.upload-row", row.mark, row.name, h("span.upload-size", bytes(item.size)), row.note, row.bar);
  list.append(row.root);
  return row;
}

const MARKS = {
  queued: "clock",
  sending: "upload",
  done: "check",
  duplicate: "copy",
  refused: "alert",
  cancelled: "cross",
};

function drawRow(row, item) {
  if (row.shown !== item.state) {
    row.root.dataset.state = item.state;
    fill(row.mark, icon(MARKS[item.state]));
    fill(row.note, noteOf(item));
    row.shown = item.state;
    if (item.state === "refused") announce(`${item.name} was refused: ${item.message}`);
  } else if (item.message && row.note.textContent !== item.message) fill(row.note, noteOf(item));
  row.bar.value = item.size ? item.sent / item.size : 0;
}

function noteOf(item) {
  const open = (text) => h("a", { href: pictureHash(item.imageId) }, text);
  switch (item.state) {
    case "sending":
      return "sending";
    case "done":
      return [open("accepted"), item.seconds ? `, about ${Math.ceil(item.seconds)} s` : ""];
    case "duplicate":
      return ["already here: ", open("show it")];
    case "cancelled":
      return "not sent";
    default:
      return item.message || "in line";
  }
}

function drawHead() {
  const over = items.filter(ended);
  const sent = items.reduce((sum, item) => sum + (ended(item) ? item.size : item.sent), 0);
  const total = items.reduce((sum, item) => sum + item.size, 0);
  const refused = items.filter((item) => item.state === "refused").length;
  const pause = paused();
  const parts = [`${over.length} of ${plural(items.length, "file")}`, `${bytes(sent)} of ${bytes(total)}`];
  if (refused) parts.push(`${refused} refused`);
  const why = over.length < items.length ? trouble() : "";
  if (why) parts.push(`waits: ${why}`);
  else if (pause) parts.push(`goes on in ${Math.ceil((pause - Date.now()) / 1000)} s`);
  setText(headline, parts.join(" · "));
  overall.value = total ? sent / total : 0;
  stop.hidden = over.length === items.length;
  clear.hidden = !over.length;
  if (over.length === items.length && over.length !== said && items.length) {
    announce(`${plural(over.length - refused, "file")} sent${refused ? `, ${refused} refused` : ""}`);
  }
  said = over.length === items.length ? over.length : 0;
}
