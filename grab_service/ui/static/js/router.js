// Addresses after the #: "#/", "#/?status=failed", "#/picture/<id>", "#/line". Each view has one and can be linked.

/** Read an address. */
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decode);
  return { view: parts[0] ?? "pictures", argument: parts[1] ?? null, query: new URLSearchParams(search) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone %: shown as it is
  }
}

/** Write the filters to the address without a step in the history. */
export function noteQuery(parameters) {
  const text = new URLSearchParams(parameters).toString();
  history.replaceState(null, "", text ? `#/?${text}` : "#/");
}

/** Call `show` now and at each change. */
export function onRoute(show) {
  addEventListener("hashchange", () => show(parse(location.hash)));
  show(parse(location.hash));
}
