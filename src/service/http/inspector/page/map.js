// The clusters of a KV head in a plane: a disc a cluster, as large as its tokens, coloured by its segment; a ring says what the
// last query did with it.

import { colour, drawing, h, isDark, tell, whenSchemeChanges } from "./elements.js";
import { NONE, counted, percent, whole } from "./words.js";

const ZONES = {
  retrieval: "computed exactly",
  coded: "read as codes",
  steady: "seen in part, computed exactly",
  estimation: "estimated",
  ignored: "ignored",
  hidden: "not seen",
};
/** Drawn later lie above. */
const ORDER = ["hidden", "ignored", "estimation", "steady", "coded", "retrieval"];
const FAINT = { hidden: 0.12, ignored: 0.25, estimation: 0.55 };
const RINGS = { steady: "zone-steady", coded: "zone-coded", retrieval: "zone-retrieval" };
const EDGE = 14;
const REACH = 18;

/** Segments from the first to the last go through cool hues; rings are warm. */
function hue(place, all, alpha) {
  const t = all > 1 ? place / (all - 1) : 0.35;
  return `hsl(${285 - 140 * t} ${isDark() ? 60 : 55}% ${isDark() ? 66 : 45}% / ${alpha})`;
}

export function clusterMap() {
  let map = null;
  let points = [];
  let nearest = null;
  const shown = new Set(ORDER);
  const canvas = h("canvas", { role: "application", tabIndex: 0, "aria-label": "Clusters in a plane; arrow keys go from one to the next by position" });
  const readout = h("p", { className: "readout", "aria-live": "polite" }, NONE);
  const note = h("p", { className: "note" });
  const zones = h("ul", { className: "legend", "aria-label": "Zones of the last query" });
  const segments = h("ul", { className: "legend", "aria-label": "Segments" });
  const empty = h("p", { className: "empty", hidden: true }, "No tokens of this head are in clusters yet.");

  const zone = (at) => map.zone[at];
  const isShown = (at) => zone(at) === null || shown.has(zone(at));
  const radius = (at) => Math.max(1.6, Math.min(11, 0.75 * Math.sqrt(map.tokens[at])));

  function project(width, height) {
    const extent = (values) => [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
    const [[left, right], [low, high]] = [extent(map.x), extent(map.y)];
    // One scale for both axes: distances are what there is to see.
    const scale = Math.min((width - 2 * EDGE) / Math.max(right - left, 1e-9), (height - 2 * EDGE) / Math.max(high - low, 1e-9));
    const x = (value) => width / 2 + (value - (left + right) / 2) * scale;
    const y = (value) => height / 2 - (value - (low + high) / 2) * scale;
    points = map.x.map((value, at) => [x(value), y(map.y[at])]);
  }

  function disc(context, at) {
    const [x, y] = points[at];
    const faint = zone(at) === null ? 0.7 : FAINT[zone(at)] ?? 0.9;
    context.beginPath();
    context.arc(x, y, radius(at), 0, 2 * Math.PI);
    context.fillStyle = hue(map.segment[at], map.segments.length, faint);
    context.fill();
    const ring = RINGS[zone(at)];
    if (!ring) return;
    context.beginPath();
    context.arc(x, y, radius(at) + 1.75, 0, 2 * Math.PI);
    context.strokeStyle = colour(ring);
    context.lineWidth = 1.5;
    context.stroke();
  }

  const redraw = drawing(canvas, {
    height: (width) => Math.round(Math.max(260, Math.min(560, width * 0.62))),
    draw(context, width, height) {
      context.fillStyle = colour("sunken");
      context.fillRect(0, 0, width, height);
      if (!map || map.x.length === 0) return;
      project(width, height);
      const ranks = points.map((_, at) => at).filter(isShown);
      ranks.sort((a, b) => ORDER.indexOf(zone(a)) - ORDER.indexOf(zone(b)) || map.tokens[b] - map.tokens[a]);
      for (const at of ranks) disc(context, at);
      if (nearest !== null && points[nearest]) {
        const [x, y] = points[nearest];
        context.beginPath();
        context.arc(x, y, radius(nearest) + 4.5, 0, 2 * Math.PI);
        context.strokeStyle = colour("ink");
        context.lineWidth = 1.5;
        context.stroke();
      }
    },
  });

  function read() {
    if (!map || map.x.length === 0) return tell(readout, NONE);
    if (nearest === null) return tell(readout, "Point at a cluster, or use the arrow keys.");
    const segment = map.segments[map.segment[nearest]];
    const meaning = zone(nearest) ? ` · ${zone(nearest)}: ${ZONES[zone(nearest)]}` : "";
    tell(readout, `Segment ${whole(map.segment[nearest])} (tokens ${whole(segment.start)} to ${whole(segment.end - 1)}) · ${counted(map.tokens[nearest], "token")} · spread of keys ${map.spread[nearest].toFixed(2)}${meaning}`);
  }

  function look(at) {
    if (nearest === at) return;
    nearest = at;
    read();
    redraw();
  }

  canvas.addEventListener("pointermove", (event) => {
    let [best, least] = [null, REACH * REACH];
    points.forEach(([x, y], at) => {
      const distance = (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
      if (distance < least && isShown(at)) [best, least] = [at, distance];
    });
    look(best);
  });
  canvas.addEventListener("pointerleave", () => look(null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || points.length === 0) return;
    event.preventDefault();
    const of = points.length;
    let at = nearest ?? (step > 0 ? -1 : of);
    for (let tries = 0; tries < of; tries += 1) {
      at = (at + step + of) % of;
      if (isShown(at)) return look(at);
    }
  });

  function zoneRow(name) {
    const box = h("input", { type: "checkbox", checked: shown.has(name) });
    box.addEventListener("change", () => {
      if (box.checked) shown.add(name);
      else shown.delete(name);
      redraw();
    });
    const count = h("span", { className: "number" });
    const swatch = h("i");
    const paint = () => {
      const ring = RINGS[name];
      swatch.style.borderRadius = "50%";
      swatch.style.background = hue(1, 3, FAINT[name] ?? 0.9);
      swatch.style.boxShadow = ring ? `0 0 0 2px var(--${ring})` : "none";
    };
    const row = h("li", {}, h("label", {}, box, swatch, h("span", {}, `${name} (${ZONES[name]})`), count));
    return { name, row, count, paint };
  }
  const zoneRows = ORDER.toReversed().map(zoneRow);
  zones.append(...zoneRows.map(({ row }) => row));

  function legends() {
    const counts = Object.groupBy(map.zone, (name) => name ?? "none");
    zones.hidden = map.query === null;
    for (const { name, row, count, paint } of zoneRows) {
      const clusters = counts[name]?.length ?? 0;
      row.hidden = clusters === 0;
      tell(count, whole(clusters));
      paint();
    }
    const all = map.segments.length;
    const named = all <= 8 ? map.segments.map((_, place) => place) : [0, Math.floor((all - 1) / 2), all - 1];
    segments.replaceChildren(
      ...named.map((place) => {
        const swatch = h("i");
        swatch.style.background = hue(place, all, 1);
        const segment = map.segments[place];
        return h("li", {}, swatch, `segment ${whole(place)}: tokens ${whole(segment.start)}–${whole(segment.end - 1)}`);
      }),
    );
  }

  function explain() {
    const sampled = map.x.length < map.all ? `Every ${whole(Math.ceil(map.all / map.x.length))}th of ${counted(map.all, "cluster")} is shown. ` : `${counted(map.all, "cluster")}. `;
    const axes = `Centroids on their two principal components, which have ${percent(map.axes[0])} and ${percent(map.axes[1])} of the variance. `;
    const query = map.query
      ? `Zones are those of the last query (${map.query.mode}, which saw tokens ${whole(map.query.first)} to ${whole(map.query.end - 1)}), chosen again over the index as it is now.`
      : "No query has come since this page looks at the collection: there are no zones yet.";
    tell(note, sampled + axes + query);
  }

  whenSchemeChanges(() => map && legends());

  return {
    elements: [note, canvas, readout, zones, segments, empty],
    show(found) {
      const isOther = !map || map.x.length !== found.x.length;
      map = found;
      if (isOther) nearest = null;
      const hasNone = map.x.length === 0;
      empty.hidden = !hasNone;
      canvas.hidden = hasNone;
      readout.hidden = hasNone;
      if (!hasNone) explain();
      else tell(note, "");
      legends();
      read();
      redraw();
    },
  };
}
