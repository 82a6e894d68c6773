// Small charts, drawn as SVG. Each has an equivalent text.

import { h, s } from "./dom.js";
import { clock, number } from "./format.js";

const WIDE = 120;
const HIGH = 36;

/** A line of the latest values, the newest on the right. `draw(values)` updates it. */
export function makeSparkline(label, slots) {
  const area = s("path.spark-area");
  const line = s("path.spark-line");
  const root = s("svg.spark", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" }, area, line);
  function draw(values) {
    const most = Math.max(4, ...values);
    const step = WIDE / (slots - 1);
    const first = WIDE - step * (values.length - 1);
    const points = values.map((value, at) => [first + at * step, HIGH - 2 - (value / most) * (HIGH - 5)]);
    const path = points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
    line.setAttribute("d", path);
    area.setAttribute("d", points.length > 1 ? `${path}L${WIDE} ${HIGH}L${first.toFixed(2)} ${HIGH}Z` : "");
    root.setAttribute(
      "aria-label",
      `${label}: ${number(values.at(-1) ?? 0)} now, ${number(Math.max(0, ...values))} at most`,
    );
  }
  draw([]);
  return { root, draw };
}

/** Pictures per minute: completed and failed as bars, accepted as a line over them. */
export function makeMinutes() {
  const drawing = s("svg.minutes", { viewBox: "0 0 300 100", preserveAspectRatio: "none", role: "img" });
  const top = h("span.chart-top");
  const from = h("span");
  const root = h(
    "div.chart",
    h("div.chart-plot", drawing, top),
    h("div.chart-axis", { "aria-hidden": "true" }, from, h("span", "now")),
    h("ul.legend", h("li.completed", "completed"), h("li.failed", "failed"), h("li.accepted", "accepted")),
  );
  function draw(series) {
    const most = nice(Math.max(1, ...series.map((one) => Math.max(one.accepted, one.completed + one.failed))));
    const step = 300 / Math.max(1, series.length);
    const high = (value) => (value / most) * 96;
    const bars = series.flatMap((one, at) => {
      const [x, width] = [at * step + step * 0.18, step * 0.64];
      const done = high(one.completed);
      const bad = high(one.failed);
      return [
        s(
          "rect.completed",
          { x, width, y: 100 - done, height: done },
          s("title", `${clock(one.at)}: ${number(one.completed)} completed`),
        ),
        bad
          ? s(
              "rect.failed",
              { x, width, y: 100 - done - bad, height: bad },
              s("title", `${clock(one.at)}: ${number(one.failed)} failed`),
            )
          : null,
      ];
    });
    const line = series.map((one, at) => `${at ? "L" : "M"}${(at + 0.5) * step} ${100 - high(one.accepted)}`).join("");
    drawing.replaceChildren(
      s("path.rule", { d: "M0 4H300M0 52H300" }),
      ...bars.filter(Boolean),
      s("path.accepted", { d: line }),
    );
    const sum = (name) => number(series.reduce((total, one) => total + one[name], 0));
    drawing.setAttribute(
      "aria-label",
      `Pictures per minute: ${sum("accepted")} accepted, ${sum("completed")} completed and ${sum("failed")} failed in ${series.length} minutes`,
    );
    top.textContent = `${number(most)} / min`;
    from.textContent = series.length ? clock(series[0].at).slice(0, 5) : "";
  }
  return { root, draw };
}

/** A round number that is not below the value. */
function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return (
    [1, 1.5, 2, 3, 4, 5, 6, 8, 10]
      .map((times) => times * unit)
      .find((round) => round >= value && Number.isInteger(round)) ?? Math.ceil(value)
  );
}
