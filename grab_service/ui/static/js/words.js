// Words that mean the same: a classifier's card says which of the detector's labels is which of its own.

import { models } from "./api.js";

const known = new Map(); // a model's name → the detector's label → its own word
let asked = null;

/** Whether the cards were read. */
export let learnt = false;

/** Whether any model's word means one of these labels of the detector. */
export const meansOne = (word, labels) =>
  [...known.values()].some((words) => labels.some((label) => words[label] === word));

/** Ask for the cards, once; `then` is called where they told anything. */
export function learn(then) {
  asked ??= models().then(
    (answer) => {
      for (const { name, card } of answer.models) if (card?.detector_labels) known.set(name, card.detector_labels);
      learnt = true;
    },
    () => (asked = null), // each word stays itself, until somebody asks again
  );
  asked.then(() => known.size && then());
}
