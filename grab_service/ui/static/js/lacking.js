// Lists the models that were missing for a picture, what the picture lacks, and how to get them.

import { h } from "./dom.js";

/** A note, or null where nothing is missing; `report` is the last one of /health. Instructions in the banner are not
 * repeated. */
export function lackingNote({ status, results }, { faces }, report) {
  if (status !== "completed") return null;
  const names = results?.missing_models ?? [];
  const unlike = faces.length > 0 && !faces.some(({ embedding }) => embedding);
  if (!names.length)
    return unlike ? h("p.findings-lack", `There is no embedding to compare ${those(faces)} by.`) : null;
  const several = names.length > 1;
  const ways = names.map((name) => [name, howToGet(name, report)]);
  const now = report === null || ways.some(([, how]) => how);
  const are = `${several ? (now ? "are" : "were") : now ? "is" : "was"} not installed`;
  return h(
    "div.findings-lack",
    h("p", `${names.join(" and ")} ${are}`, consequence(names, unlike ? faces : [], results)),
    now
      ? ways.map(([name, how]) => remedy(name, how, several, report))
      : h("p", "Nothing is missing now: run the picture again."),
  );
}

const those = ({ length }) => (length === 1 ? "this face" : "these faces");

/** `unlike` are the faces that cannot be compared. */
function consequence(names, unlike, { categories }) {
  const lacks = [
    unlike.length ? `${those(unlike)} cannot be compared with others` : null,
    categories ? null : "no categories were looked for",
  ].filter(Boolean);
  if (lacks.length === names.length) return `, so ${lacks.join(", and ")}.`;
  return `: what ${names.length > 1 ? "they" : "it"} would have found is not here.`;
}

/** The instructions of the line's workers; none for a model that no worker lacks now. */
function howToGet(name, report) {
  const ways = Object.values(report?.missing_models ?? {}).map((models) => models[name]);
  return ways.find(Boolean) ?? null;
}

function remedy(name, how, several, report) {
  const isInBanner = (report?.problems ?? []).some((problem) => problem.includes(name));
  return how && !isInBanner ? h("p", `To get ${several ? name : "it"}: ${how}.`) : null;
}
