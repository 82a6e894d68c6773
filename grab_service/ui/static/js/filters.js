// What the gallery shows: by name, status, kind and category. The filters are also in the address, as a link.

import { h } from "./dom.js";
import { icon, STATUSES } from "./icons.js";
import { noteQuery } from "./router.js";
import { comparable } from "./search.js";

const NAMES = ["filename", "status", "kind", "category"];
const TYPING_MS = 300;

/** The bar of filters; `changed(filters)` is called after a change. */
export function makeFilters(changed) {
  const filters = {};
  const seen = h("datalist", { id: "categories-seen" });
  const statuses = Object.entries(STATUSES).filter(([name]) => name !== "deleted");
  const fields = {
    filename: h("input", {
      type: "search",
      id: "filter-filename",
      placeholder: "Search by filename",
      maxlength: "4096",
      autocomplete: "off",
      spellcheck: "false",
    }),
    status: select("filter-status", [["", "Every status"], ...statuses.map(([name, { label }]) => [name, label])]),
    kind: select("filter-kind", [
      ["", "Faces and objects"],
      ["face", "Faces"],
      ["object", "Objects"],
    ]),
    category: h("input", {
      type: "text",
      id: "filter-category",
      placeholder: "Any category",
      list: "categories-seen",
      maxlength: "100",
      autocomplete: "off",
      spellcheck: "false",
    }),
  };
  const reset = h("button.quiet", { type: "button", hidden: true }, "Clear filters");
  let timer = null;

  function read() {
    for (const name of NAMES) filters[name] = fields[name].value.trim();
    const set = NAMES.filter((name) => filters[name]);
    reset.hidden = !set.length;
    noteQuery(Object.fromEntries(set.map((name) => [name, filters[name]])));
    changed(filters);
  }
  function later() {
    clearTimeout(timer);
    timer = setTimeout(read, TYPING_MS);
  }
  fields.filename.addEventListener("input", later);
  fields.category.addEventListener("input", later);
  fields.status.addEventListener("change", read);
  fields.kind.addEventListener("change", read);
  reset.addEventListener("click", () => {
    for (const name of NAMES) fields[name].value = "";
    read();
    fields.filename.focus();
  });
  const bar = h(
    "form.filters",
    { role: "search", "aria-label": "Filter the pictures", onsubmit: (event) => event.preventDefault() },
    labelled("Filename", fields.filename, "search"),
    labelled("Status", fields.status),
    labelled("Kind", fields.kind),
    labelled("Category", fields.category, "tag"),
    reset,
    seen,
  );
  return { bar, filters, seen: (names) => suggest(seen, names), set: (query) => set(fields, filters, reset, query) };
}

function set(fields, filters, reset, query) {
  for (const name of NAMES) {
    fields[name].value = query.get(name) ?? "";
    filters[name] = fields[name].value.trim();
  }
  reset.hidden = !NAMES.some((name) => filters[name]);
}

function suggest(list, names) {
  const known = new Set([...list.children].map((option) => option.value));
  for (const name of names) if (!known.has(name)) list.append(h("option", { value: name }));
}

function select(id, options) {
  return h(
    "select",
    { id },
    options.map(([value, label]) => h("option", { value }, label)),
  );
}

function labelled(label, field, symbol = null) {
  return h("label.field", { for: field.id }, h("span.visually-hidden", label), symbol && icon(symbol), field);
}

/** Whether a row passes the filters, as far as the page knows. */
export function matches(filters, row) {
  if (filters.status && row.status !== filters.status) return false;
  if (filters.kind && row.kind !== filters.kind) return false;
  if (filters.category && !(row.categories ?? []).some(({ category }) => category === filters.category)) return false;
  return !filters.filename || comparable(row.filename).includes(comparable(filters.filename));
}
