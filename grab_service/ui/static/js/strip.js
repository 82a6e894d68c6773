// The pictures that the stages wrote, side by side; a click enlarges.

import { SHOWN, TIMEOUT_MS, imageUrl, whyNoPicture } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { openDialog } from "./dialog.js";
import { bytes, duration } from "./format.js";
import { icon } from "./icons.js";
import { cover, factsOf, original } from "./upright.js";

const SLIM = 3; // a picture with a larger ratio of its sides is shown whole

/** Make the strip of a picture; `draw(status, ledger)` shows the existing ones, and `report(name, why)` is called
 * with the reason why one cannot be downloaded, or "" if it can. */
export function makeStrip(id, report) {
  const tiles = SHOWN.map((shown) => makeTile(id, shown, report, (at) => enlarge(tiles, at)));
  const root = h(
    "ol.strip",
    { "aria-label": "The picture at every stage" },
    tiles.map((tile) => tile.root),
  );
  let firstRun = null;
  function draw(status, ledger) {
    firstRun ??= status.run ?? 1;
    for (const tile of tiles) drawTile(tile, status, ledger, status.run > firstRun);
  }
  /** Reload the pictures that failed. */
  const retry = () => tiles.filter(({ broken }) => broken).forEach((tile) => show(tile, true));
  return { root, draw, retry };
}

function makeTile(id, shown, report, open) {
  const tile = { id, ...shown, report, frame: h("span.tile-frame"), note: h("span.tile-note"), url: null };
  tile.button = h("button.tile", { type: "button", disabled: true, onclick: () => open(tile) }, tile.frame);
  tile.root = h("li", tile.button, h("p.tile-caption", h("span.tile-name", shown.label), tile.note));
  return tile;
}

function drawTile(tile, status, ledger, changed) {
  const entry = status.stages?.[tile.stage] ?? {};
  const there = tile.name === "original" || (entry.state === "done" && !isNotMade(tile, status));
  const size = objectOf(tile, ledger)?.size ?? (tile.name === "original" ? status.file_size : null);
  const took = tile.name === "original" || tile.name === "blurred" ? null : entry.ms;
  const turned = tile.name === "original" ? JSON.stringify(factsOf(status)) : "";
  const key = there ? `${entry.run ?? 1} ${entry.finished ?? ""} ${turned}` : (entry.state ?? "waiting");
  setText(
    tile.note,
    there ? [size && bytes(size), took && duration(took)].filter(Boolean).join(" · ") : sentence(entry, status),
  );
  tile.note.title = isNotMade(tile, status) ? "What it was to hide was not looked for: a model is missing." : "";
  if (tile.key === key && tile.broken) return;
  tile.button.setAttribute(
    "aria-label",
    there ? `${tile.label}: enlarge` : `${tile.label}: ${sentence(entry, status)}`,
  );
  if (tile.key === key) return;
  tile.key = key;
  tile.facts = tile.name === "original" ? factsOf(status) : { size: null, orientation: null };
  tile.button.disabled = !there;
  tile.root.classList.toggle("there", there);
  if (isNotMade(tile, status)) tile.report(tile.name, "not made");
  if (there) show(tile, changed && tile.name !== "original");
  else if (isNotMade(tile, status)) fill(tile.frame, icon("picture"));
  else fill(tile.frame, icon(entry.state === "failed" ? "alert" : entry.state === "working" ? "spin" : "clock"));
}

/** Whether there is no privacy copy because a model for it was missing. */
const isNotMade = ({ name }, { results }) => name === "blurred" && results?.blurred_path === null;

function sentence(entry, status) {
  if (entry.state === "working") return "being made";
  if (entry.state === "done") return "not made";
  if (entry.state === "failed") return "failed";
  if (status.status === "waiting") return "waits for you";
  return status.status === "failed" ? "never reached" : "not yet";
}

const objectOf = ({ name, stage }, ledger) =>
  ledger?.stages?.find((entry) => entry.stage === stage)?.objects?.find(({ key }) => key.startsWith(`${name}/`));

async function show(tile, changed) {
  const { id, name } = tile;
  tile.url = imageUrl(id, name);
  let source = tile.url;
  if (changed) {
    // Written again in another run: the browser still has the old one.
    const blob = await fetched(tile.url);
    if (blob) source = URL.createObjectURL(blob);
  }
  tile.source = source;
  tile.broken = false;
  const load = () => {
    const [wide, high] = tile.facts.size ?? [image.naturalWidth, image.naturalHeight];
    const slim = Math.max(wide / high, high / wide) > SLIM;
    image.classList.toggle("whole", slim);
    if (!slim) cover(image, tile.facts, tile.frame.clientWidth / tile.frame.clientHeight);
    image.classList.add("here");
    tile.button.disabled = false;
    tile.report(name, "");
  };
  const image = original(".tile-image", source, tile.facts, { alt: "" }, { load, error: () => broken(tile) });
  fill(tile.frame, image);
}

async function fetched(url) {
  try {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    return answer.ok ? await answer.blob() : null;
  } catch {
    return null; // the element loads it itself, and reports a failure
  }
}

/** Show why there is nothing to enlarge. */
async function broken(tile) {
  tile.broken = true;
  tile.source = null;
  tile.button.disabled = true;
  const { lost, why } = await whyNoPicture(tile.url);
  if (!tile.broken) return;
  fill(tile.frame, icon("picture"), h("span", why));
  tile.button.setAttribute("aria-label", `${tile.label}: ${why}`);
  tile.report(tile.name, lost ? why : "");
}

function enlarge(tiles, first) {
  let at = first;
  const there = () => tiles.filter((tile) => tile.source);
  const frame = h("div.large-frame");
  const name = h("span.large-name", { "aria-live": "polite" });
  const save = h("a.button", icon("download"), "Download");
  function go(step) {
    const all = there();
    at = all[(all.indexOf(at) + step + all.length) % all.length];
    draw();
  }
  function draw() {
    fill(frame, original(".large", at.source, at.facts, { alt: at.label }, {}));
    setText(name, `${at.label} (${there().indexOf(at) + 1} of ${there().length})`);
    save.setAttribute("href", at.url);
    save.setAttribute("download", `${at.name}-${at.id}.jpg`);
  }
  const dialog = openDialog(
    "enlarged",
    "The picture at every stage",
    frame,
    h(
      "div.large-bar",
      h(
        "button.icon-button",
        { type: "button", "aria-label": "The stage before", onclick: () => go(-1) },
        icon("left"),
      ),
      name,
      h("button.icon-button", { type: "button", "aria-label": "The next stage", onclick: () => go(1) }, icon("right")),
      save,
    ),
  );
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") go(-1);
    if (event.key === "ArrowRight") go(1);
  });
  draw();
}
