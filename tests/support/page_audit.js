// Run in the page by tests/page/test_everywhere.py: what cannot be read, or a screen reader could not name.

const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

function over([r, g, b, a], [R, G, B]) {
  return [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
}

function behind(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
}

function light([r, g, b]) {
  const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
}

function hasText(element) {
  const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  const exempt = element.closest("svg, noscript, :disabled, label:has(:disabled)");
  return own && !exempt && element.checkVisibility({ visibilityProperty: true });
}

/** Every text of less contrast than WCAG's AA asks for; what cannot be used is exempt there. */
function contrast() {
  const found = [];
  for (const element of [...document.querySelectorAll("body *")].filter(hasText)) {
    const ground = behind(element);
    const ink = over(rgba(getComputedStyle(element).color), ground);
    const [bright, dim] = [light(ink), light(ground)].sort((a, b) => b - a);
    const ratio = (bright + 0.05) / (dim + 0.05);
    if (ratio < 4.5)
      found.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
}

/** Every control, picture and dialog without a name. */
function nameless() {
  const kinds = "a, button, input:not([aria-hidden]), select, summary, [role=img], dialog, img:not([alt=''])";
  const named = (element) =>
    element.getAttribute("aria-label") ||
    element.getAttribute("alt") ||
    element.textContent.trim() ||
    element.labels?.[0]?.textContent.trim() ||
    element.getAttribute("title");
  return [...document.querySelectorAll(kinds)].filter((one) => !named(one)).map((one) => one.outerHTML.slice(0, 120));
}
