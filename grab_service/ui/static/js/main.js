// The page: which view is shown, and what every view has around it.

import { fill, h } from "./dom.js";
import { start } from "./events.js";
import { startBanner } from "./banner.js";
import { showGallery } from "./gallery.js";
import { showLine } from "./line.js";
import { showPicture } from "./picture.js";
import { onRoute } from "./router.js";
import { startTheme } from "./theming.js";

const main = document.getElementById("main");
let leave = null;
let shownHash = null;

const VIEWS = {
  pictures: { title: "Pictures", show: showGallery },
  picture: { title: "Picture", show: showPicture },
  line: { title: "Line", show: showLine },
};

function notFound(root) {
  fill(root, h("div.empty", h("h1", "There is no such view"), h("p", h("a", { href: "#/" }, "All pictures"))));
}

function show(route) {
  if (location.hash === "#main") return; // the skip link's own address
  const view = VIEWS[route.view];
  leave?.();
  const first = shownHash === null;
  shownHash = location.hash;
  fill(main);
  document.title = `${view?.title ?? "Not found"} · Stageline`;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    const here = link.dataset.view === route.view || (route.view === "picture" && link.dataset.view === "pictures");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leave = (view?.show ?? notFound)(main, route) ?? null;
  if (first) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true }); // a new view is read from its beginning
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
  main.scrollIntoView();
});
startTheme();
startBanner();
start();
onRoute(show);
