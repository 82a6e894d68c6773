// Synonyms: a classifier's card maps the detector's labels to its own.

import { models } from "./api.js";

const known = new Map(); // a model's name → the detector's label → its own word
let asked = null;

/** Whether the cards were read. */
export let learnt = false;

/** Whether any model's word means one of these labels of the detector. */
export const meansOne = (word, labels) =>
  [...known.values()].some((words) => labels.some((label) => words[label] === word));

/** Load the cards once; `then` is called if any maps labels. */
export function learn(then) {
  asked ??= models().then(
    (answer) => {
      for (const { name, card } of answer.models) if (card?.detector_labels) known.set(name, card.detector_labels);
      learnt = true;
    },
    () => (asked = null), // no synonyms until the next load
  );
  asked.then(() => known.size && then());
}
