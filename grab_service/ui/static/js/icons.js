// Icons, drawn here: 20 × 20, one stroke.

import { s } from "./dom.js";

const PATHS = {
  upload: "M10 13V3.5M6 7l4-4 4 4M3.5 12.5v3a1.5 1.5 0 0 0 1.5 1.5h10a1.5 1.5 0 0 0 1.5-1.5v-3",
  folder:
    "M2.5 6A1.5 1.5 0 0 1 4 4.5h3.2l1.8 2h7A1.5 1.5 0 0 1 17.5 8v6.5a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 14.5Z",
  search: "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12ZM17 17l-3.7-3.7",
  check: "M4 10.5l4 4 8-9",
  cross: "M5 5l10 10M15 5L5 15",
  clock: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM10 6v4.2l2.8 1.8",
  pause: "M7 4.5v11M13 4.5v11",
  spin: "M10 2.5a7.5 7.5 0 1 1-7.5 7.5",
  alert: "M10 3L2.3 16.5h15.4ZM10 8.2v3.6M10 14v.1",
  info: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM10 9v5M10 6.2v.1",
  again: "M16.5 10a6.5 6.5 0 1 1-2-4.7M16.8 2.8v3.7h-3.7",
  play: "M6 4l10 6-10 6Z",
  trash: "M3.5 5.5h13M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 9v4.5M11.5 9v4.5",
  download: "M10 3v9.5M6 9l4 4 4-4M3.5 16.5h13",
  left: "M12.5 4l-6 6 6 6",
  right: "M7.5 4l6 6-6 6",
  out: "M8 4H4.5v11.5H16V12M11 3.5h5.5V9M16 4l-7 7",
  copy: "M7 7h9.5v9.5H7ZM4.5 13H3.5V3.5H13v1",
  face: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM7.5 8v.5M12.5 8v.5M7 12c1.6 1.9 4.4 1.9 6 0",
  box: "M3 6V3h3M14 3h3v3M17 14v3h-3M6 17H3v-3M7 7h6v6H7Z",
  tag: "M3 3h6.5l7.5 7.5-6.5 6.5L3 9.5ZM6.5 6.5v.1",
  sun: "M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM10 1.8v1.7M10 16.5v1.7M1.8 10h1.7M16.5 10h1.7M4.2 4.2l1.2 1.2M14.6 14.6l1.2 1.2M15.8 4.2l-1.2 1.2M5.4 14.6l-1.2 1.2",
  moon: "M16.5 11.7A7 7 0 0 1 8.3 3.5a7 7 0 1 0 8.2 8.2Z",
  picture: "M3 4.5h14v11H3ZM3 13l4-4 4 4 2.5-2.5L17 14M13 7.8v.1",
  line: "M2.5 10h3M8.5 10h3M14.5 10h3M7 11.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM13 11.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
};

/** A decorative icon beside a text with its meaning. */
export function icon(name, extra = "") {
  const path = PATHS[name];
  if (!path) throw new Error(`no icon ${name}`);
  const found = s(`svg.icon`, { viewBox: "0 0 20 20", "aria-hidden": "true" }, s("path", { d: path }));
  if (extra) found.classList.add(extra);
  return found;
}

/** The icon and the name of each status. */
export const STATUSES = {
  submitted: { icon: "clock", label: "Submitted" },
  processing: { icon: "spin", label: "Processing" },
  waiting: { icon: "pause", label: "Waiting" },
  completed: { icon: "check", label: "Completed" },
  failed: { icon: "alert", label: "Failed" },
  deleted: { icon: "trash", label: "Deleted" },
};
