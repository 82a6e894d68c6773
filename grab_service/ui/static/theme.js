// Runs before the first paint, so that a remembered scheme does not flash. Without one, the system's is followed.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("stageline-theme");
  } catch {
    // Storage may be forbidden: the system's scheme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
