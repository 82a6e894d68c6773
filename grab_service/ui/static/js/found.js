// The findings in a results document: the whole picture, its objects, its faces, and candidates.

export const KINDS = [
  { name: "picture", label: "Whole picture", icon: "picture" },
  { name: "objects", label: "Objects", icon: "box" },
  { name: "faces", label: "Faces", icon: "face" },
];

const plain = (one) => ({ box: one.box ?? null, model: one.model, sha: one.model_sha256 });
const named = (one) => ({ ...plain(one), label: one.category, score: one.confidence, detected: one.detected });
const surest = (a, b) => b.score - a.score;

/** The findings: {picture, objects, faces, candidates, guesses}, each [{label, score, box, model, sha, …}], boxes and
 * scores as in the document. A named picture or object has `others`, the other answers about it, each with `against`
 * where its meaning differs. Each finding occurs once: a candidate that contradicts an object is in that object's
 * `doubts`, not in `candidates`, and `guesses`, from ImageNet, repeat no answer of the same model. */
export function found(document) {
  const categories = (document?.categories ?? []).map(named).sort(surest);
  const unnamed = (document?.candidates ?? []).map((one) => ({ ...named(one), reason: one.reason }));
  const candidates = new Set(unnamed.sort(surest));
  const guesses = (document?.imagenet ?? []).map((one) => ({ ...named(one), reason: "guessed" })).sort(surest);
  return {
    picture: wholePicture(categories.filter(({ box }) => !box)),
    objects: objectsOf(document?.detections ?? [], categories.filter(({ box }) => box), candidates),
    faces: (document?.faces ?? []).map((one) => ({
      ...plain(one),
      label: "face",
      score: one.score,
      landmarks: one.landmarks,
      embedding: one.embedding,
    })),
    candidates: [...candidates], // without those that `objectsOf` took out
    guesses: guesses.filter((one) => ![...categories, ...unnamed].some((other) => isSame(one, other))),
  };
}

/** Whether an answer about a box, or a detector's label in it, is about this object. */
export const isAbout = (answer, object) =>
  answer.box?.join() === object.box?.join() && (answer.detected ?? object.detected) === object.detected;

/** Runs of equal findings: [{thing, index, place, many}], with the original `index`. */
export function grouped(things, likeness = ({ label }) => label) {
  const groups = new Map();
  for (const [index, thing] of things.entries()) {
    const key = likeness(thing);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push({ thing, index });
  }
  return [...groups.values()].flatMap((group) =>
    group.map((one, at) => ({ ...one, place: at + 1, many: group.length })),
  );
}

/** Each category once: its surest answer, with the others. */
function wholePicture(categories) {
  const first = new Map();
  for (const one of categories) {
    if (first.has(one.label)) first.get(one.label).others.push(one);
    else first.set(one.label, { ...one, others: [] });
  }
  return [...first.values()];
}

/** The detections with the answers about them, and categories of boxes without a detection. Removes what contradicts
 * an object from `candidates`, a Set. */
function objectsOf(detections, categories, candidates) {
  const left = new Set(categories);
  const objects = detections.map((one) => {
    const object = { ...plain(one), label: one.label, score: one.score, detected: one.label };
    const answers = takeOut(left, (each) => isAbout(each, object));
    const doubts = takeOut(candidates, (each) => each.reason === "contradicted" && isAbout(each, object));
    return { ...judged(object, answers), doubts };
  });
  return [...objects, ...[...left].map((one) => ({ ...one, others: [], doubts: [] }))];
}

/** Whether one model gave the same answer twice: where ImageNet's network is also the classifier. */
const isSame = (one, other) =>
  one.label === other.label && one.model === other.model && one.box?.join() === other.box?.join();

function takeOut(set, wanted) {
  const taken = [...set].filter(wanted);
  taken.forEach((each) => set.delete(each));
  return taken;
}

/** The detector's label names an object. A category with `detected` means the same in the classifier's word. */
function judged(object, answers) {
  const others = answers
    .filter(({ model }) => !model || model !== object.model) // its own label in the classifier's word
    .map((one) => ({ ...one, against: !one.detected && one.label !== object.label }));
  return { ...object, others };
}
