// How many calls there are and how long they take, now: what /metrics counts, less what it had counted a moment before.

import { metrics } from "./ask.js";
import { colour, drawing, h, tell } from "./elements.js";
import { NONE, rate, seconds } from "./words.js";

const HISTOGRAM = "wavekv_service_call_seconds";
const WINDOWS = [1, 10, 60];
const KEPT = 62;
const ALL = "all";

const SAMPLE = new RegExp(`^${HISTOGRAM}_(bucket|count)\\{(.*)\\} ([^ ]+)`);
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** Of every operation, and of all: how many calls there were, how many have failed, and how many took at most how long. */
export function counted(text) {
  const found = new Map();
  const of = (operation) => {
    if (!found.has(operation)) found.set(operation, { count: 0, failed: 0, buckets: new Map() });
    return found.get(operation);
  };
  for (const line of text.split("\n")) {
    const sample = SAMPLE.exec(line);
    if (!sample) continue;
    const labels = Object.fromEntries([...sample[2].matchAll(LABEL)].map(([, name, value]) => [name, value]));
    const value = Number(sample[3]);
    for (const to of [of(labels.operation), of(ALL)]) {
      if (sample[1] === "count") {
        to.count += value;
        if (labels.outcome !== "ok") to.failed += value;
      } else {
        const most = labels.le === "+Inf" ? Infinity : Number(labels.le);
        to.buckets.set(most, (to.buckets.get(most) ?? 0) + value);
      }
    }
  }
  return found;
}

/** The calls of `now` that `before` has not. */
export function between(before, now) {
  const old = before ?? { count: 0, failed: 0, buckets: new Map() };
  const buckets = [...now.buckets].map(([most, count]) => [most, count - (old.buckets.get(most) ?? 0)]);
  return { count: now.count - old.count, failed: now.failed - old.failed, buckets: buckets.sort(([a], [b]) => a - b) };
}

/** The time that a share of the calls were within, as if they were spread evenly within a bucket; null of no calls. */
export function quantile({ count, buckets }, share) {
  if (count <= 0) return null;
  const rank = share * count;
  let [least, below] = [0, 0];
  for (const [most, within] of buckets) {
    if (within >= rank && within > below) {
      // The last bucket has no end.
      if (most === Infinity) return least;
      return least + ((most - least) * (rank - below)) / (within - below);
    }
    [least, below] = [most, within];
  }
  return least;
}

export function latency() {
  /** Newest last: when it was, in seconds, and what was counted. */
  let history = [];
  const select = h("select", { name: "operation" }, h("option", { value: ALL }, "all operations"));
  const body = h("tbody");
  const first = h("tr", {}, h("th", { scope: "col", className: "text", rowSpan: 2 }, "Operation"), ...WINDOWS.map((window) => h("th", { scope: "colgroup", className: "group", colSpan: 3 }, window === 1 ? "last second" : `last ${window} s`)), h("th", { scope: "col", className: "group", rowSpan: 2 }, "Not ok, last 60 s"));
  const second = h("tr", {}, ...WINDOWS.flatMap(() => [h("th", { scope: "col", className: "group" }, "calls"), h("th", { scope: "col" }, "p50"), h("th", { scope: "col" }, "p99")]));
  const table = h("table", {}, h("thead", {}, first, second), body);
  const times = h("canvas", { role: "img", "aria-label": "p50 and p99 of each of the last 60 seconds" });
  const rates = h("canvas", { role: "img", "aria-label": "Calls a second in each of the last 60 seconds" });
  const note = h("p", { className: "note" });
  const absent = h("p", { className: "empty", hidden: true }, "This daemon has no /metrics, from which calls and their times are taken.");
  const panels = [
    h("section", { className: "panel", "aria-label": "Operations" }, h("h2", {}, "By operation"), h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Operations" }, table), note),
    h(
      "section",
      { className: "panel", "aria-label": "Last minute" },
      h("div", { className: "head" }, h("h2", {}, "The last minute"), h("label", { className: "field" }, "Operation", select)),
      h("ul", { className: "legend" }, legend("accent", "p50"), legend("zone-coded", "p99"), legend("tier-disk", "calls a second")),
      times,
      rates,
    ),
  ];

  function legend(name, text) {
    const swatch = h("i");
    swatch.style.background = `var(--${name})`;
    return h("li", {}, swatch, text);
  }

  /** What happened since the newest look that is at least so old, or the oldest; null when there is no other look. */
  function within(operation, window) {
    const now = history.at(-1);
    const at = history.findLastIndex((look) => look.at <= now.at - window + 0.25);
    const before = history[Math.max(0, at)];
    if (!before || before === now || !now.found.has(operation)) return null;
    return { ...between(before.found.get(operation), now.found.get(operation)), time: now.at - before.at };
  }

  /** One point a look of the last minute. */
  function series(operation) {
    const points = [];
    for (let at = 1; at < history.length; at += 1) {
      const [before, now] = [history[at - 1], history[at]];
      const calls = now.found.has(operation) ? between(before.found.get(operation), now.found.get(operation)) : { count: 0, buckets: [] };
      points.push({ ago: history.at(-1).at - now.at, rate: calls.count / (now.at - before.at), p50: quantile(calls, 0.5), p99: quantile(calls, 0.99) });
    }
    return points.filter(({ ago }) => ago <= 60);
  }

  const [LEFT, RIGHT, TOP, BOTTOM] = [58, 8, 10, 18];
  const across = (width, ago) => width - RIGHT - (ago / 60) * (width - LEFT - RIGHT);

  function axes(context, width, height, ticks) {
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour("quiet");
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const [y, text] of ticks) {
      context.beginPath();
      context.moveTo(LEFT, Math.round(y) + 0.5);
      context.lineTo(width - RIGHT, Math.round(y) + 0.5);
      context.stroke();
      context.fillText(text, LEFT - 8, y);
    }
    context.textAlign = "center";
    for (const ago of [60, 40, 20, 0]) context.fillText(ago === 0 ? "now" : `−${ago} s`, Math.min(width - 14, across(width, ago)), height - 7);
  }

  const drawTimes = drawing(times, {
    height: () => 200,
    draw(context, width, height) {
      const points = history.length > 1 ? series(select.value) : [];
      const known = points.flatMap(({ p50, p99 }) => [p50, p99]).filter((value) => value > 0);
      const low = Math.floor(Math.log10(known.length > 0 ? Math.min(...known) : 1e-4));
      const high = Math.max(low + 1, Math.ceil(Math.log10(known.length > 0 ? Math.max(...known) : 1)));
      const y = (value) => height - BOTTOM - ((Math.log10(value) - low) / (high - low)) * (height - TOP - BOTTOM);
      const powers = Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at));
      axes(context, width, height, powers.map((value) => [y(value), seconds(value).replace(/\.0+ /, " ")]));
      for (const [key, name] of [["p99", "zone-coded"], ["p50", "accent"]]) {
        context.strokeStyle = colour(name);
        context.fillStyle = colour(name);
        context.lineWidth = 1.75;
        context.beginPath();
        let isDown = false;
        for (const point of points) {
          if (!(point[key] > 0)) {
            isDown = false;
            continue;
          }
          const at = [across(width, point.ago), y(point[key])];
          if (isDown) context.lineTo(...at);
          else context.moveTo(...at);
          isDown = true;
        }
        context.stroke();
        for (const point of points) {
          if (!(point[key] > 0)) continue;
          context.beginPath();
          context.arc(across(width, point.ago), y(point[key]), 2, 0, 2 * Math.PI);
          context.fill();
        }
      }
    },
  });

  const drawRates = drawing(rates, {
    height: () => 110,
    draw(context, width, height) {
      const points = history.length > 1 ? series(select.value) : [];
      const most = Math.max(1, ...points.map((point) => point.rate));
      const y = (value) => height - BOTTOM - (value / most) * (height - TOP - BOTTOM);
      axes(context, width, height, [[y(0), "0 /s"], [y(most), rate(most)]]);
      const wide = Math.max(1, (width - LEFT - RIGHT) / 60 - 1.5);
      context.fillStyle = colour("tier-disk");
      for (const point of points) context.fillRect(across(width, point.ago) - wide, y(point.rate), wide, y(0) - y(point.rate));
    },
  });

  function row(operation) {
    const cells = WINDOWS.flatMap((window) => {
      const calls = within(operation, window);
      const isSilent = !calls || calls.count <= 0;
      const texts = [calls ? rate(calls.count / calls.time) : NONE, isSilent ? NONE : seconds(quantile(calls, 0.5)), isSilent ? NONE : seconds(quantile(calls, 0.99))];
      return texts.map((text, at) => h("td", { className: at === 0 ? "group" : "" }, text));
    });
    const failed = within(operation, 60)?.failed ?? 0;
    return h("tr", {}, h("th", { scope: "row", className: "text" }, operation), ...cells, h("td", { className: "group" }, `${failed}`));
  }

  function offer(operations) {
    if (select.options.length === operations.length + 1) return;
    const value = select.value;
    select.replaceChildren(h("option", { value: ALL }, "all operations"), ...operations.map((name) => h("option", { value: name }, name)));
    select.value = operations.includes(value) ? value : ALL;
  }

  select.addEventListener("change", () => {
    drawTimes();
    drawRates();
  });

  return {
    title: "Latency",
    every: 1000,
    elements: [h("h1", {}, "Live latency"), absent, ...panels],
    async update(signal) {
      const text = await metrics(signal);
      absent.hidden = text !== null;
      for (const panel of panels) panel.hidden = text === null;
      if (text === null) return;
      const found = counted(text);
      const [before, now] = [history.at(-1)?.found.get(ALL), found.get(ALL)];
      // Counts that have become less are those of another process.
      if (before && (now?.count ?? 0) < before.count) history = [];
      history.push({ at: performance.now() / 1000, found });
      history = history.slice(-KEPT);
      const operations = [...found.keys()].filter((name) => name !== ALL).sort();
      offer(operations);
      body.replaceChildren(...(operations.length > 0 ? operations.map(row) : [h("tr", {}, h("td", { className: "text quiet", colSpan: 11 }, "No call has ended yet."))]));
      tell(note, "Times are from a request to the end of its answer, in the daemon, as far as the buckets of the histogram tell.");
      drawTimes();
      drawRates();
    },
  };
}
