// Pages of pictures. The API finds whole filenames; the page also finds parts of one among the newest pictures.

import { images } from "./api.js";

const STEP = 200; // pictures in one answer
const STEPS = 5; // answers to search before the page asks whether to continue

/** A name for comparison: in one normal form, trimmed, in lower case. */
export const comparable = (name) => (name ?? "").normalize("NFC").trim().toLowerCase();

/** One page: like /images, and `looked`, the number of pictures searched for a part of a name. */
export async function findPage(filters, limit, cursor) {
  const { filename, ...others } = filters;
  if (!filename) return { ...(await images({ ...others, limit, cursor })), looked: null };
  const found = new Map();
  if (!cursor) for (const row of (await images({ ...filters, limit })).images) found.set(row.image_id, row);
  const part = comparable(filename);
  let next = cursor;
  let looked = 0;
  for (let step = 0; step < STEPS && found.size < limit; step += 1) {
    const answer = await images({ ...others, limit: STEP, cursor: next });
    for (const row of answer.images)
      if (comparable(row.filename).includes(part)) found.set(row.image_id, row);
    looked += answer.images.length;
    next = answer.next_cursor;
    if (!next) break;
  }
  return { images: [...found.values()], next_cursor: next, looked };
}
