// Says of a picture which models were missing when it was looked at, what it lacks for it, and how to get them.

import { h } from "./dom.js";

/** A note, or null where nothing is missing; `report` is what /health said last. What to do is left to the banner where
 * that says it. */
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

/** As the line's workers say it; of a model that none of them misses now, nothing. */
function howToGet(name, report) {
  const ways = Object.values(report?.missing_models ?? {}).map((models) => models[name]);
  return ways.find(Boolean) ?? null;
}

function remedy(name, how, several, report) {
  const said = (report?.problems ?? []).some((problem) => problem.includes(name));
  return how && !said ? h("p", `To get ${several ? name : "it"}: ${how}.`) : null;
}
