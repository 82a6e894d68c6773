// Builds elements. Text always becomes a text node, so that uploaded names are never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element: `h("button.primary", { onclick }, "Send")`. Properties that are null or false are left out. */
export function h(selector, ...rest) {
  return make((name) => document.createElement(name), selector, rest);
}

/** Make an SVG element; everything is an attribute there. */
export function s(selector, ...rest) {
  return make((name) => document.createElementNS(SVG, name), selector, rest);
}

function make(create, selector, rest) {
  const [name, ...classes] = selector.split(".");
  const element = create(name || "div");
  if (classes.length) element.setAttribute("class", classes.join(" "));
  const hasProps = rest.length && isProps(rest[0]);
  if (hasProps) setProps(element, rest[0]);
  append(element, hasProps ? rest.slice(1) : rest);
  return element;
}

function isProps(value) {
  return value !== null && typeof value === "object" && !(value instanceof Node) && !Array.isArray(value);
}

function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Append children: nodes, text, lists of them; null and false are left out. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Replace the content of an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** Set a text only where it changed, so that nothing is announced or painted twice. */
export function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Run something at most once per `ms`, the last call included. */
export function throttled(ms, run) {
  let timer = null;
  let last = 0;
  return () => {
    if (timer !== null) return;
    const wait = Math.max(0, last + ms - Date.now());
    timer = setTimeout(() => {
      timer = null;
      last = Date.now();
      run();
    }, wait);
  };
}

const LAG_MS = 3000; // after which the catalogue has applied an event

/** Like `throttled`, and once more after a pause: for views of the catalogue. */
export function throttledAndLater(ms, run) {
  let later = null;
  return throttled(ms, () => {
    run();
    clearTimeout(later);
    later = setTimeout(run, LAG_MS);
  });
}

const polite = () => document.getElementById("polite");

/** Announce a text to screen readers without moving the focus. */
export function announce(sentence) {
  setText(polite(), "");
  requestAnimationFrame(() => setText(polite(), sentence));
}

/** Show a short sentence at the bottom for a while. */
export function toast(sentence, kind = "info") {
  const shown = h(`div.toast.${kind}`, sentence);
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), kind === "error" ? 9000 : 4500);
}

/** Copy a text; `navigator.clipboard` exists on https and localhost only, so there is an older way too. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // Forbidden here: try the older way.
    }
  }
  const area = h("textarea.visually-hidden", { readonly: true, value: text, "aria-hidden": "true" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
