// What a results document says of a picture: the whole of it, its objects, its faces, and what was not named.

export const KINDS = [
  { name: "picture", label: "Whole picture", icon: "picture" },
  { name: "objects", label: "Objects", icon: "box" },
  { name: "faces", label: "Faces", icon: "face" },
];

const plain = (one) => ({ box: one.box ?? null, model: one.model, sha: one.model_sha256 });
const named = (one) => ({ ...plain(one), label: one.category, score: one.confidence, detected: one.detected });
const surest = (a, b) => b.score - a.score;

/** The found things: {picture, objects, faces, candidates, guesses}, each [{label, score, box, model, sha, …}], boxes and
 * scores as in the document. What was named, of the whole picture or of an object, has `others`: what else was said of the
 * very same, each with `against` where that is something else. All is there once: a candidate that contradicts an object is
 * in that object's `doubts`, not in `candidates`; and `guesses`, ImageNet's, repeat nothing that the same model says. */
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

/** Whether something that was said, of a box or of a detector's label in it, is about this object. */
export const isAbout = (said, object) =>
  said.box?.join() === object.box?.join() && (said.detected ?? object.detected) === object.detected;

/** Things that are alike one after the other: [{thing, index, place, many}], `index` as they came. */
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

/** Each category once: the surest that says so, with the others. */
function wholePicture(categories) {
  const first = new Map();
  for (const one of categories) {
    if (first.has(one.label)) first.get(one.label).others.push(one);
    else first.set(one.label, { ...one, others: [] });
  }
  return [...first.values()];
}

/** What was detected, each with what was said of it; and what was named in boxes that no detector gave. Takes what
 * contradicts an object out of `candidates`, a Set. */
function objectsOf(detections, categories, candidates) {
  const left = new Set(categories);
  const objects = detections.map((one) => {
    const object = { ...plain(one), label: one.label, score: one.score, detected: one.label };
    const said = takeOut(left, (each) => isAbout(each, object));
    const doubts = takeOut(candidates, (each) => each.reason === "contradicted" && isAbout(each, object));
    return { ...judged(object, said), doubts };
  });
  return [...objects, ...[...left].map((one) => ({ ...one, others: [], doubts: [] }))];
}

/** Whether the same model says the same of the same: where ImageNet's network is the classifier, too. */
const isSame = (one, other) =>
  one.label === other.label && one.model === other.model && one.box?.join() === other.box?.join();

function takeOut(set, wanted) {
  const taken = [...set].filter(wanted);
  taken.forEach((each) => set.delete(each));
  return taken;
}

/** An object is what the detector says. A category with what was detected means the same, in a classifier's word. */
function judged(object, said) {
  const others = said
    .filter(({ model }) => !model || model !== object.model) // its own label, in a classifier's word
    .map((one) => ({ ...one, against: !one.detected && one.label !== object.label }));
  return { ...object, others };
}
