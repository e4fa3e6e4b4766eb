// The collections, a page at a time.

import { ask } from "./ask.js";
import { h, tell } from "./elements.js";
import { age, bytes, counted, whole } from "./words.js";

const LIMIT = 100;

export function addressOf({ namespace, name }, more = {}) {
  return `#/collection?${new URLSearchParams({ namespace, name, ...more })}`;
}

function row(found) {
  const link = h("a", { href: addressOf(found) }, found.name);
  return h(
    "tr",
    {},
    h("td", { className: "name" }, link),
    h("td", { className: "text" }, found.namespace),
    h("td", { className: "text" }, h("span", { className: "tag", "data-state": found.state, title: found.refusal ?? "" }, found.state)),
    h("td", { className: "text" }, found.kind),
    h("td", {}, whole(found.tokens)),
    h("td", {}, whole(found.layers)),
    h("td", {}, bytes(found.bytes)),
    h("td", {}, bytes(found.disk_bytes)),
    h("td", { className: "text" }, found.durability),
    h("td", {}, `${age(found.unused_ms)} ago`),
  );
}

const COLUMNS = [
  ["Name", "name"], ["Namespace", "text"], ["State", "text"], ["Index", "text"], ["Tokens", ""],
  ["Layers", ""], ["K, V and index", ""], ["On disk", ""], ["Outlives", "text"], ["Last used", ""],
];

export function collections(fields) {
  const body = h("tbody");
  const heads = COLUMNS.map(([name, className]) => h("th", { className, scope: "col" }, name));
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads)), body);
  const empty = h("p", { className: "empty", hidden: true }, fields.size > 0 ? "No collection is of such a name." : "There is no collection yet.");
  const count = h("p", { className: "quiet number", role: "status" });
  const prefix = h("input", { type: "search", name: "prefix", value: fields.get("prefix") ?? "", autocomplete: "off", maxLength: 128, size: 18 });
  const namespace = h("input", { type: "search", name: "namespace", value: fields.get("namespace") ?? "", autocomplete: "off", maxLength: 128, size: 14, placeholder: "all" });
  const next = h("button", { type: "button", disabled: true }, "Next page");
  const first = h("button", { type: "button", disabled: !fields.get("after") }, "First page");
  const go = (after) => {
    const query = new URLSearchParams();
    for (const [key, value] of [["prefix", prefix.value], ["namespace", namespace.value.trim()], ["after", after]]) {
      if (value) query.set(key, value);
    }
    location.hash = query.size > 0 ? `/collections?${query}` : "/collections";
  };
  const form = h(
    "form",
    { role: "search", on: { submit: (event) => { event.preventDefault(); go(""); } } },
    h("label", { className: "field" }, "Name begins with", prefix),
    h("label", { className: "field" }, "Namespace", namespace),
    h("button", { type: "submit" }, "Find"),
  );
  first.addEventListener("click", () => go(""));

  return {
    title: "Collections",
    every: 3000,
    elements: [
      h("div", { className: "head" }, h("h1", {}, "Collections"), form),
      h("section", { className: "panel" }, h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Collections" }, table), empty, h("div", { className: "buttons" }, first, next, count)),
    ],
    async update(signal) {
      const asked = { limit: LIMIT };
      for (const key of ["prefix", "namespace", "after"]) if (fields.get(key)) asked[key] = fields.get(key);
      const found = await ask("collections", asked, signal);
      const text = JSON.stringify(found);
      if (body.dataset.text !== text) {
        body.dataset.text = text;
        // A row that somebody is at by keyboard stays where it is.
        const focused = document.activeElement?.closest?.("tr") ? document.activeElement.getAttribute("href") : null;
        body.replaceChildren(...found.collections.map(row));
        if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      }
      empty.hidden = found.collections.length > 0;
      tell(count, counted(found.collections.length, "collection") + (found.next ? " on this page" : ""));
      next.disabled = !found.next;
      next.onclick = () => go(found.next);
    },
  };
}
