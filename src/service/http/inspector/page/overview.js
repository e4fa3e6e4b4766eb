// The daemon as a whole.

import { ask } from "./ask.js";
import { facts, gauge, h, tell } from "./elements.js";
import { NONE, age, bytes, counted, percent, whole } from "./words.js";

/** A card with one large figure, what it is of, and lines beneath. */
function card(title, rows, withGauge = false) {
  const figure = h("p", { className: "figure" }, NONE);
  const bar = withGauge ? gauge(title) : null;
  const list = facts(rows);
  const element = h("section", { className: "card" }, h("h2", {}, title), figure, bar?.element, list.element);
  return {
    element,
    list,
    bar,
    show(value, unit) {
      const text = `${value}\u0000${unit}`;
      if (figure.dataset.text === text) return;
      figure.dataset.text = text;
      figure.replaceChildren(value, " ", h("small", {}, unit));
    },
  };
}

export function overview() {
  const reasons = h("ul", { className: "reasons" });
  const state = h("section", { className: "panel", "aria-label": "Health" }, h("h2", {}, "Health"), reasons);
  const memory = card("Memory", [["budget", "Budget"], ["free", "Free"], ["resident", "Segments in memory"]], true);
  const disk = card("Disk", [["budget", "Budget"], ["expired", "Expired"], ["room", "Deleted for room"]], true);
  const tokens = card("Tokens clustered", [["tokens", "Tokens"], ["segments", "Segments"], ["clusters", "Clusters"], ["waiting", "Layers waiting"]], true);
  const blocks = card("Block hits", [["recent", "Since last look"], ["hits", "Hits"], ["misses", "Misses"], ["evictions", "Evictions"]], true);
  const clustering = card("Segments built", [["merged", "Merged into larger ones"], ["discarded", "Discarded"], ["failed", "Failed for want of room"]]);
  const audits = card("Audited error", [["audits", "Answers audited"], ["skipped", "Skipped"], ["raised", "Heads that read more"], ["worst", "Worst head"]]);
  const bytesCard = card("Stored", [["payload", "K and V"], ["codes", "Codes"], ["meta", "Meta index"], ["shared", "Shared"]]);
  const daemon = card("Uptime", [["collections", "Collections"], ["version", "Version"], ["isa", "Kernels"], ["epoch", "Start"]]);

  const cards = [memory, disk, tokens, blocks, bytesCard, clustering, audits, daemon];
  let before = null;

  function health(found) {
    const text = JSON.stringify([found.status, found.reasons]);
    if (reasons.dataset.text === text) return;
    reasons.dataset.text = text;
    const rows = found.reasons.map((reason) =>
      h("li", {}, h("span", { className: "tag", "data-state": reason.severity }, reason.code), h("span", {}, reason.sentence)),
    );
    reasons.replaceChildren(...(rows.length > 0 ? rows : [h("li", {}, h("span", { className: "tag", "data-state": "ready" }, "ok"), "Calls are answered, and nothing needs anybody’s attention.")]));
  }

  function hits(now) {
    const share = (hits, misses) => (hits + misses > 0 ? hits / (hits + misses) : null);
    const all = share(now.hits, now.misses);
    blocks.show(percent(all), "in memory");
    blocks.bar.show(all ?? 0);
    blocks.bar.element.firstChild.dataset.level = "";
    const recent = before && now.hits >= before.hits ? share(now.hits - before.hits, now.misses - before.misses) : null;
    blocks.list.tell("recent", percent(recent));
    for (const key of ["hits", "misses", "evictions"]) blocks.list.tell(key, whole(now[key]));
    before = now;
  }

  function sizes(now) {
    memory.show(bytes(now.memory.used_bytes), "used");
    memory.bar.show(now.memory.used_bytes / Math.max(1, now.memory.budget_bytes));
    memory.list.tell("budget", bytes(now.memory.budget_bytes));
    memory.list.tell("free", bytes(Math.max(0, now.memory.budget_bytes - now.memory.used_bytes)));
    memory.list.tell("resident", bytes(now.blocks.resident_bytes));
    const limit = now.disk.budget_bytes;
    disk.show(bytes(now.disk.used_bytes), "used");
    disk.bar.show(limit === null ? 0 : now.disk.used_bytes / Math.max(1, limit));
    disk.list.tell("budget", limit === null ? "no limit" : bytes(limit));
    disk.list.tell("expired", counted(now.disk.expired, "collection"));
    disk.list.tell("room", counted(now.disk.deleted_for_room, "collection"));
    const { index } = now;
    const clustered = index.tokens > 0 ? index.clustered_tokens / index.tokens : null;
    tokens.show(percent(clustered), "of all layers’ tokens");
    tokens.bar.show(clustered ?? 0);
    tokens.bar.element.firstChild.dataset.level = "";
    tokens.list.tell("tokens", whole(index.tokens));
    tokens.list.tell("segments", whole(index.segments));
    tokens.list.tell("clusters", whole(index.clusters));
    tokens.list.tell("waiting", whole(now.clustering.waiting));
    hits(now.blocks);
    bytesCard.show(bytes(index.payload_bytes + index.code_bytes + index.meta_index_bytes), "in all collections");
    bytesCard.list.tell("payload", bytes(index.payload_bytes));
    bytesCard.list.tell("codes", bytes(index.code_bytes));
    bytesCard.list.tell("meta", bytes(index.meta_index_bytes));
    bytesCard.list.tell("shared", bytes(index.shared_bytes));
    clustering.show(whole(now.clustering.built), "since the start");
    for (const key of ["merged", "discarded", "failed"]) clustering.list.tell(key, whole(now.clustering[key]));
    const { worst } = now.audits;
    audits.show(now.audits.audits > 0 ? percent(now.audits.error) : NONE, "root mean square");
    audits.list.tell("audits", whole(now.audits.audits));
    audits.list.tell("skipped", whole(now.audits.skipped));
    audits.list.tell("raised", whole(now.audits.raised_heads));
    audits.list.tell("worst", worst ? `${worst.namespace}/${worst.name}, layer ${worst.layer}, head ${worst.head}: ${percent(worst.error)}` : NONE);
    daemon.show(age(now.uptime_ms), "");
    daemon.list.tell("collections", whole(now.collections));
  }

  return {
    title: "Overview",
    every: 2000,
    elements: [h("h1", {}, "Overview"), state, h("div", { className: "cards" }, ...cards.map((card) => card.element))],
    async update(signal) {
      const found = await ask("overview", {}, signal);
      health(found);
      if (found.sizes) sizes(found.sizes);
      daemon.list.tell("version", found.version);
      daemon.list.tell("isa", found.isa);
      daemon.list.tell("epoch", `number ${whole(found.boot_epoch)} of its data`);
    },
  };
}
