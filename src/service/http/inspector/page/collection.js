// One collection: what it is, where its bytes are, its heads, and the clusters of one of them.

import { ask } from "./ask.js";
import { facts, h, tell } from "./elements.js";
import { heatMap } from "./heat.js";
import { clusterMap } from "./map.js";
import { addressOf } from "./collections.js";
import { NONE, age, bytes, counted, percent, whole } from "./words.js";

const EVERY = 3000;
/** Looks at the collection between two looks at the clusters, which cost more. */
const CLUSTERS_EVERY = 2;

const TIERS = [
  ["steady", "steady_bytes", "Sink and tail, in memory"],
  ["meta", "meta_index_bytes", "Meta index, in memory"],
  ["blocks", "block_bytes", "K, V and codes of segments, in memory"],
  ["disk", "disk_bytes", "On disk"],
];

function tiers() {
  const rows = TIERS.map(([tier, key, name]) => {
    const bar = h("i", { className: `tier-${tier}` });
    const value = h("span", { className: "number" }, NONE);
    const row = h("li", {}, h("i", { className: `tier-${tier}` }), `${name}: `, value);
    return { key, bar, value, row };
  });
  const [memory, disk] = [rows.slice(0, 3), rows.slice(3)];
  const bar = (of, label) => h("div", { className: "gauge tall", role: "img", "aria-label": label }, ...of.map(({ bar }) => bar));
  const element = h(
    "section",
    { className: "panel", "aria-label": "Tiers" },
    h("h2", {}, "Where its bytes are"),
    h("p", { className: "note" }, "Memory above, disk below, on one scale. What is on disk and in memory is in both."),
    bar(memory, "Bytes in memory"),
    bar(disk, "Bytes on disk"),
    h("ul", { className: "legend" }, ...rows.map(({ row }) => row)),
  );
  return {
    element,
    show(found) {
      const inMemory = memory.reduce((sum, { key }) => sum + found[key], 0);
      const most = Math.max(1, inMemory, found.disk_bytes);
      for (const { key, bar, value } of rows) {
        bar.style.width = `${(100 * found[key]) / most}%`;
        tell(value, bytes(found[key]));
      }
    },
  };
}

const COLUMNS = ["Layer", "Sees", "Tokens", "Clustered", "Segments", "Clusters", "Tokens a cluster", "Spread of keys", "K and V", "Codes", "Meta index", "Shared", "Audited error"];

function layerTable() {
  const body = h("tbody");
  const heads = COLUMNS.map((name, at) => h("th", { scope: "col", className: at === 1 ? "text" : "" }, name));
  const element = h(
    "section",
    { className: "panel", "aria-label": "Layers" },
    h("h2", {}, "Layers"),
    h("div", { className: "scroll tall", tabIndex: 0, role: "region", "aria-label": "Layers" }, h("table", {}, h("thead", {}, h("tr", {}, ...heads)), body)),
  );
  const row = (layer, number) => {
    const { size } = layer;
    const cells = [
      whole(size.tokens),
      size.tokens > 0 ? percent(size.clustered_tokens / size.tokens) : NONE,
      whole(size.segments),
      whole(size.clusters),
      size.clusters > 0 ? layer.cluster_tokens.toFixed(1) : NONE,
      size.clusters > 0 ? layer.key_spread.toFixed(2) : NONE,
      bytes(size.payload_bytes),
      bytes(size.code_bytes),
      bytes(size.meta_index_bytes),
      bytes(size.shared_bytes),
      layer.audits > 0 ? `${percent(layer.audited_error)} of ${whole(layer.audits)}` : NONE,
    ];
    const sees = layer.window === null ? "all" : `last ${whole(layer.window)}`;
    return h("tr", {}, h("th", { scope: "row" }, `${number}`), h("td", { className: "text" }, sees), ...cells.map((text) => h("td", {}, text)));
  };
  return {
    element,
    show(layers) {
      const text = JSON.stringify(layers.map(({ heads, ...layer }) => layer));
      if (body.dataset.text === text) return;
      body.dataset.text = text;
      body.replaceChildren(...layers.map(row));
    },
  };
}

/** The layer and head of the map, by two fields. */
function chooser(chosen) {
  const select = (name) => h("select", { name, on: { change: () => chosen({ layer: Number(layer.value), head: Number(head.value) }) } });
  const [layer, head] = [select("layer"), select("head")];
  const fill = (element, count) => {
    if (element.options.length === count) return;
    element.replaceChildren(...Array.from({ length: count }, (_, number) => h("option", { value: `${number}` }, `${number}`)));
  };
  return {
    element: h("div", { className: "buttons" }, h("label", { className: "field" }, "Layer", layer), h("label", { className: "field" }, "KV head", head)),
    show(picked, layers, heads) {
      fill(layer, layers);
      fill(head, heads);
      layer.value = `${picked.layer}`;
      head.value = `${picked.head}`;
    },
  };
}

const number = (text) => (/^\d{1,6}$/.test(text ?? "") ? Number(text) : 0);

function about(found) {
  const { geometry } = found;
  const heads = `${counted(geometry.q_heads, "query head")}, ${counted(geometry.kv_heads, "KV head")}`;
  const ttl = found.ttl_seconds > 0 ? `${age(found.ttl_seconds * 1000)} after its last use` : "until it is deleted";
  const shortest = found.layers.reduce((least, layer) => Math.min(least, layer.size.tokens), Infinity);
  const traffic = found.blocks.hits + found.blocks.misses;
  return {
    tokens: Number.isFinite(shortest) ? whole(shortest) : NONE,
    index: found.kind,
    geometry: `${counted(geometry.layers, "layer")}, ${heads}`,
    vectors: `${geometry.head_dim} and ${geometry.value_dim} numbers of ${geometry.dtype}`,
    model: geometry.fingerprint || "not said",
    outlives: { none: "nothing", process: "the process", power: "a loss of power" }[found.durability] ?? found.durability,
    kept: ttl + (found.expendable ? ", expendable" : ""),
    used: `${age(found.unused_ms)} ago`,
    hits: traffic > 0 ? `${percent(found.blocks.hits / traffic)} of ${whole(traffic)}` : NONE,
    pinned: found.pinned ? "pinned in memory" : "comes and leaves",
    generation: found.generation,
    shares: found.all_sharers > 0 ? `with ${counted(found.all_sharers, "collection")}` : "with nobody",
  };
}

const FACTS = [
  ["tokens", "Tokens"], ["index", "Index"], ["geometry", "Layers and heads"], ["vectors", "K and V"], ["model", "Model"], ["outlives", "Outlives"],
  ["kept", "Kept"], ["used", "Last used"], ["hits", "Block hits"], ["pinned", "Blocks"], ["generation", "Generation"], ["shares", "Shares bytes"],
];

export function collection(fields) {
  const whose = { namespace: fields.get("namespace") ?? "", name: fields.get("name") ?? "" };
  let picked = { layer: number(fields.get("layer")), head: number(fields.get("head")) };
  let looks = 0;
  let hasClusters = true;
  let stopped = null;

  const state = h("span", { className: "tag" }, "asking");
  const refusal = h("p", { className: "refusal", hidden: true });
  const list = facts(FACTS, true);
  const bytesOf = tiers();
  const layers = layerTable();
  const heat = heatMap(move);
  const chosen = chooser(move);
  const map = clusterMap();
  const mapTitle = h("h2", {}, "Clusters of a head");
  const without = h("p", { className: "empty", hidden: true });
  const mapPanel = h("section", { className: "panel", "aria-label": "Clusters" }, h("div", { className: "head" }, mapTitle, chosen.element), without, ...map.elements);

  function move(cell) {
    picked = cell;
    history.replaceState(null, "", addressOf(whose, cell));
    choose();
    lookAtClusters(stopped).catch(() => {
      // The next look says why.
      looks = 0;
    });
  }

  let size = [0, 0];
  function choose() {
    heat.pick(picked);
    chosen.show(picked, ...size);
    tell(mapTitle, `Clusters of layer ${picked.layer}, KV head ${picked.head}`);
  }

  async function lookAtClusters(signal) {
    if (!hasClusters) return;
    const asked = picked;
    const found = await ask("clusters", { ...whose, ...asked }, signal);
    // Another was chosen meanwhile.
    if (asked === picked) map.show(found);
  }

  return {
    title: whose.name,
    every: EVERY,
    elements: [
      h("div", { className: "head" }, h("h1", {}, whose.name, h("small", {}, `namespace ${whose.namespace || "default"}`)), state),
      refusal,
      h("section", { className: "panel", "aria-label": "About" }, list.element),
      h("div", { className: "two" }, heat.element, mapPanel),
      bytesOf.element,
      layers.element,
    ],
    moved(now) {
      if (now.get("name") !== whose.name || (now.get("namespace") ?? "") !== whose.namespace) return false;
      const cell = { layer: number(now.get("layer")), head: number(now.get("head")) };
      if (cell.layer !== picked.layer || cell.head !== picked.head) move(cell);
      return true;
    },
    async update(signal) {
      stopped = signal;
      const found = await ask("collection", whose, signal);
      tell(state, found.state);
      state.dataset.state = found.state;
      refusal.hidden = found.refusal === null;
      tell(refusal, found.refusal ?? "");
      for (const [key, text] of Object.entries(about(found))) list.tell(key, text);
      bytesOf.show(found.tiers);
      layers.show(found.layers);
      heat.show(found.layers, found.geometry.kv_heads);
      size = [found.layers.length, found.geometry.kv_heads];
      hasClusters = found.kind === "wave" && found.refusal === null;
      without.hidden = hasClusters;
      tell(without, hasClusters ? "" : `An index of kind ${found.kind} has no clusters to show.`);
      for (const element of map.elements) if (!hasClusters) element.hidden = true;
      if (picked.layer >= size[0] || picked.head >= size[1]) picked = { layer: 0, head: 0 };
      choose();
      if (looks % CLUSTERS_EVERY === 0) await lookAtClusters(signal);
      looks += 1;
    },
  };
}
