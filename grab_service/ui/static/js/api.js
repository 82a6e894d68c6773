// Calls to the API. Every error answer becomes an ApiError with its sentence as the message.

export const TIMEOUT_MS = 20_000;

const table = await fetch("/page/line.json", { signal: AbortSignal.timeout(TIMEOUT_MS) });
/** The names of the stages, and the pictures that they write, as `{ name, stage, label }`, both in the line's order. */
export const { stages: STAGES, shown: SHOWN } = await table.json();

export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status; // 0: nothing answered
    this.retryAfter = retryAfter;
  }
}

/** Read the sentence in an error answer. */
export function problemOf(status, text, retryAfter = null) {
  let detail = "";
  try {
    const found = JSON.parse(text);
    detail = found.detail || found.title || "";
    for (const { field, message } of found.errors ?? []) detail += `${detail ? "; " : ""}${field}: ${message}`;
  } catch {
    // No JSON: a proxy answered.
  }
  const wait = Number.parseFloat(retryAfter);
  return new ApiError(status, detail || `the line answered ${status}`, Number.isFinite(wait) ? wait : null);
}

async function call(path, options = {}) {
  let answer;
  let text;
  try {
    answer = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
    text = await answer.text(); // which may stall as well
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new ApiError(0, late ? "the line did not answer in 20 s" : "no connection to the line");
  }
  if (!answer.ok) throw problemOf(answer.status, text, answer.headers.get("Retry-After"));
  return text ? JSON.parse(text) : null;
}

const json = (content) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(content),
});

function query(parameters) {
  const kept = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

/** Why a picture does not show: the text in its place, and whether it cannot be downloaded. */
export async function whyNoPicture(url) {
  try {
    const { ok, status } = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (status === 404 || status === 410) return { lost: true, why: "gone" };
    if (ok || status === 415) return { lost: !ok, why: "cannot be shown" }; // the object is no picture
    return { lost: false, why: "not to be had now" };
  } catch {
    return { lost: false, why: "not to be had now" };
  }
}

const at = (folder, id) => `/${folder}/${encodeURIComponent(id)}`;

export const images = (filters) => call(`/images${query(filters)}`);
export const status = (id) => call(at("status", id));
export const ledger = (id) => call(at("ledger", id));
export const processAgain = (id, from) => call(at("process", id) + query({ from }), { method: "POST" });
export const remove = (id) => call(at("image", id), { method: "DELETE" });
export const replay = (ids) => call("/dead/replay", json(ids ? { image_ids: ids } : { all: true }));
export const similarFaces = (id, face) => call("/faces/search?limit=12", json({ image_id: id, face }));
export const stats = (minutes) => call(`/stats${query({ minutes })}`);
export const queues = () => call("/queue-status");
export const models = () => call("/models");

/** The health report, also with a 503: `down` is true when the line accepts nothing. */
export async function health() {
  let answer;
  try {
    answer = await fetch("/health", { signal: AbortSignal.timeout(8000), cache: "no-store" });
    const report = await answer.json();
    return { ...report, down: answer.status === 503 || report.status === "unavailable" };
  } catch {
    if (answer) throw new ApiError(answer.status, `something that is not the line answers here (${answer.status})`);
    throw new ApiError(0, "no connection to the line");
  }
}

/** The address of the picture that a stage wrote. */
export const imageUrl = (id, stage) => `${at("image", id)}${stage === "original" ? "" : query({ stage })}`;

export const pictureHash = (id) => `#/picture/${encodeURIComponent(id)}`;
