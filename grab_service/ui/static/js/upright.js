// The original in the API's orientation: browsers do not read every file's EXIF like the API.

import { h, s } from "./dom.js";

/** How stored pixels come to lie upright on a picture of `w` by `h`, by EXIF's tag 274: an SVG matrix. */
const TURNS = {
  1: () => [1, 0, 0, 1, 0, 0],
  2: (w) => [-1, 0, 0, 1, w, 0],
  3: (w, h) => [-1, 0, 0, -1, w, h],
  4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0],
  6: (w) => [0, 1, -1, 0, w, 0],
  7: (w, h) => [0, -1, -1, 0, w, h],
  8: (w, h) => [0, -1, 1, 0, 0, h],
};
const ON_ITS_SIDE = 5; // from here on, the stored width is the visible height

/** The visible size and the orientation of an original; null while unknown. */
export function factsOf({ width, height, orientation }) {
  return { size: width && height ? [width, height] : null, orientation: TURNS[orientation] ? orientation : null };
}

/** Make an element that shows an original. It is laid out like an <img>: `handlers` are `load` and `error`. */
export function original(selector, url, facts, props, handlers) {
  const { size, orientation } = facts;
  if (!size || orientation === null || orientation === 1) {
    const style = orientation === 1 ? { "image-orientation": "none" } : {}; // unknown: left to the browser
    const image = h(`img${selector}`, { ...props, style, decoding: "async", ...listening(handlers) });
    image.src = url;
    return image;
  }
  const { alt, ...others } = props;
  const label = alt ? { role: "img", "aria-label": alt } : { "aria-hidden": "true" };
  const image = stored(url, facts);
  for (const [name, handle] of Object.entries(handlers)) image.addEventListener(name, handle);
  const root = s(`svg.upright${selector}`, { ...others, ...label, viewBox: `0 0 ${size[0]} ${size[1]}` }, image);
  root.style.setProperty("--wide", size[0]);
  root.style.setProperty("--ratio", size[0] / size[1]);
  return root;
}

const FROM_ABOVE = 0.3; // of the cut part, as in the style sheet for an <img>: heads are in the upper half

/** Have a turned original fill a frame of this shape, as `object-fit: cover` does; an <img> does so by its style. */
export function cover(root, { size }, ratio) {
  if (!root.matches(".upright") || !ratio) return;
  const [wide, high] = [Math.min(size[0], size[1] * ratio), Math.min(size[1], size[0] / ratio)];
  root.setAttribute("viewBox", [(size[0] - wide) / 2, (size[1] - high) * FROM_ABOVE, wide, high].join(" "));
}

/** Make a square cut out of a picture around a box. */
export function cut(selector, url, facts, [x1, y1, x2, y2], around, label) {
  const side = Math.max(x2 - x1, y2 - y1) * (1 + around);
  const view = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2, side, side];
  return s(`svg${selector}`, { role: "img", "aria-label": label, viewBox: view.join(" ") }, stored(url, facts));
}

/** The stored pixels, turned; with an unknown orientation, as the browser turns them. */
function stored(url, { size: [wide, high], orientation }) {
  const onItsSide = orientation >= ON_ITS_SIDE;
  return s("image", {
    href: url,
    width: onItsSide ? high : wide,
    height: onItsSide ? wide : high,
    preserveAspectRatio: "none",
    transform: orientation && `matrix(${TURNS[orientation](wide, high).join(" ")})`,
    style: orientation ? { "image-orientation": "none" } : {},
  });
}

const listening = (handlers) =>
  Object.fromEntries(Object.entries(handlers).map(([name, handle]) => [`on${name}`, handle]));
