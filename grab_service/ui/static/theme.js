// Runs before the first paint, so that a stored scheme does not flash. Without one, the system's applies.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("stageline-theme");
  } catch {
    // Storage may be forbidden: the system's scheme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
