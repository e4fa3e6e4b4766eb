// A heat map: a row a layer, a column a KV head. By pointer or by keyboard, one cell is looked at, and one is chosen.

import { colour, drawing, h, isDark, tell } from "./elements.js";
import { NONE, percent, whole } from "./words.js";

const LABELS = 34;
const FOOT = 18;

const times = (value) => (value === null || value === undefined ? NONE : `×${value.toFixed(2)}`);
const plain = (value) => (value === null || value === undefined ? NONE : value.toFixed(3));

/** What can be shown of a head: its key in the answer, its name, how it is written, and what it means. */
export const FIGURES = [
  ["token_share", "Budget: tokens read", percent, "Of the tokens that a query saw, those that were read exactly or as codes: mean over answers, the newer with more weight. A flat head needs more for the same error."],
  ["byte_share", "Budget: bytes read", percent, "Bytes that were read, of those of K and V of all tokens that a query saw: mean over answers."],
  ["exact_mass", "Attention computed exactly", percent, "Of the attention mass, what was computed exactly: mean over answers."],
  ["sharpness", "Attention sharpness", plain, "Of the last query since this page looks: 0 where all tokens of its clusters weigh the same, 1 where one has all the weight (distance from a flat head by Kullback and Leibler, of the farthest)."],
  ["audited_error", "Audited error", percent, "Root mean square of the relative error that audits measured."],
  ["target_factor", "Factor on the target", times, "What the target of adaptive is multiplied with, where audits found a head over it."],
];

/** From the lowest to the highest of what is shown. */
function ramp(share) {
  const t = Math.max(0, Math.min(1, share));
  // One hue that grows away from the ground in both schemes.
  return isDark() ? `hsl(${215 - 25 * t} ${40 + 45 * t}% ${20 + 52 * t}%)` : `hsl(${205 + 15 * t} ${55 + 25 * t}% ${92 - 62 * t}%)`;
}

export function heatMap(chosen) {
  let heads = 0;
  let rows = [];
  let range = [0, 1];
  let at = null;
  let picked = { layer: 0, head: 0 };
  const select = h("select", { name: "figure" }, ...FIGURES.map(([key, name]) => h("option", { value: key }, name)));
  const note = h("p", { className: "note" });
  const canvas = h("canvas", { tabIndex: 0, role: "application", "aria-label": "Heat map of layers and KV heads; arrow keys move, Enter chooses" });
  const readout = h("p", { className: "readout", "aria-live": "polite" }, NONE);
  const legend = h("canvas", { "aria-hidden": "true" });
  const [low, high] = [h("span"), h("span")];

  const figure = () => FIGURES.find(([key]) => key === select.value);
  const value = (layer, head) => rows[layer]?.[head] ?? null;

  function cells(width) {
    const wide = Math.max(3, Math.min(72, Math.floor((width - LABELS) / Math.max(1, heads))));
    const high = Math.max(4, Math.min(22, Math.floor(520 / Math.max(1, rows.length))));
    return { wide, high, gap: wide > 7 && high > 7 ? 1 : 0 };
  }

  function place(event) {
    const { wide, high } = cells(canvas.clientWidth);
    const head = Math.floor((event.offsetX - LABELS) / wide);
    const layer = Math.floor(event.offsetY / high);
    return head >= 0 && head < heads && layer >= 0 && layer < rows.length ? { layer, head } : null;
  }

  function outline(context, { wide, high }, cell, style, line) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.strokeRect(LABELS + cell.head * wide + 0.5, cell.layer * high + 0.5, wide - 1, high - 1);
  }

  const redraw = drawing(canvas, {
    height: (width) => Math.max(24, rows.length * cells(width).high) + FOOT,
    draw(context, width) {
      const size = cells(width);
      const { wide, high, gap } = size;
      const [least, most] = range;
      const nothing = colour("sunken");
      rows.forEach((row, layer) => {
        for (let head = 0; head < heads; head += 1) {
          const found = value(layer, head);
          context.fillStyle = found === null ? nothing : ramp(most > least ? (found - least) / (most - least) : 0.5);
          context.fillRect(LABELS + head * wide, layer * high, wide - gap, high - gap);
        }
      });
      context.fillStyle = colour("quiet");
      context.font = "11px system-ui, sans-serif";
      context.textBaseline = "middle";
      context.textAlign = "right";
      const everyLayer = Math.ceil(14 / high);
      for (let layer = 0; layer < rows.length; layer += everyLayer) context.fillText(`${layer}`, LABELS - 7, (layer + 0.5) * high);
      context.textAlign = "center";
      const everyHead = Math.ceil(20 / wide);
      for (let head = 0; head < heads; head += everyHead) context.fillText(`${head}`, LABELS + (head + 0.5) * wide, rows.length * high + FOOT / 2 + 1);
      if (picked.layer < rows.length && picked.head < heads) outline(context, size, picked, colour("ink"), 2);
      if (at) outline(context, size, at, colour("accent"), 2);
    },
  });

  const relegend = drawing(legend, {
    height: () => 10,
    draw(context, width) {
      for (let x = 0; x < width; x += 1) {
        context.fillStyle = ramp(x / (width - 1));
        context.fillRect(x, 0, 1, 10);
      }
    },
  });

  function read() {
    const cell = at ?? picked;
    const [, name, written] = figure();
    const all = FIGURES.filter(([key]) => key !== select.value);
    const own = `Layer ${cell.layer}, head ${cell.head}: ${name.toLowerCase()} ${written(value(cell.layer, cell.head))}`;
    const others = all.map(([key, name, written]) => [name, written(layers[cell.layer]?.heads?.[key]?.[cell.head] ?? null)]);
    const known = others.filter(([, text]) => text !== NONE).map(([name, text]) => `${name.toLowerCase()} ${text}`);
    const answers = layers[cell.layer]?.heads?.answers?.[cell.head];
    tell(readout, [own, ...known, answers ? `${whole(answers)} answers` : ""].filter(Boolean).join(" · "));
  }

  let layers = [];
  function show(found = layers) {
    layers = found;
    const [key, , written, meaning] = figure();
    rows = layers.map((layer) => layer.heads?.[key] ?? []);
    const known = rows.flat().filter((value) => value !== null);
    range = known.length > 0 ? [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))] : [0, 0];
    const lacking = layers.filter((layer) => layer.heads === null).length;
    const more = lacking > 0 ? ` Heads of the first ${whole(layers.length - lacking)} layers are told.` : "";
    const none = known.length === 0 ? (key === "sharpness" ? " No query has come since this page looks at the collection." : " Nothing is known of it yet.") : "";
    tell(note, meaning + none + more);
    tell(low, known.length > 0 ? written(range[0]) : NONE);
    tell(high, known.length > 0 ? written(range[1]) : NONE);
    read();
    redraw();
    relegend();
  }

  function look(cell) {
    at = cell;
    read();
    redraw();
  }

  function choose(cell) {
    picked = cell;
    look(null);
    chosen(cell);
  }

  select.addEventListener("change", () => show());
  canvas.addEventListener("pointermove", (event) => look(place(event)));
  canvas.addEventListener("pointerleave", () => look(null));
  canvas.addEventListener("blur", () => look(null));
  canvas.addEventListener("click", (event) => {
    const cell = place(event);
    if (cell) choose(cell);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const from = at ?? picked;
    if (step) {
      event.preventDefault();
      look({
        layer: Math.max(0, Math.min(rows.length - 1, from.layer + step[0])),
        head: Math.max(0, Math.min(heads - 1, from.head + step[1])),
      });
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(from);
    }
  });

  const element = h(
    "section",
    { className: "panel", "aria-label": "KV heads" },
    h("div", { className: "head" }, h("h2", {}, "Layers and KV heads"), h("label", { className: "field" }, "Shown", select)),
    note,
    h("div", { className: "chart" }, canvas),
    h("div", { className: "scale" }, low, legend, high),
    readout,
  );
  return {
    element,
    show(found, kvHeads) {
      heads = kvHeads;
      show(found);
    },
    pick(cell) {
      picked = cell;
      read();
      redraw();
    },
  };
}
