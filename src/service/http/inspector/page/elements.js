// Elements of the page. Whatever comes from outside goes in as text, never as markup.

/** An element with properties and children; strings become text. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, done] of Object.entries(value)) element.addEventListener(event, done);
    } else if (name in element && name !== "list" && typeof value !== "object") {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Changes the text of an element only where it differs, so that nothing is announced or selected anew. */
export function tell(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A list of names and values whose values can be told again by their key. */
export function facts(rows, wide = false) {
  const values = {};
  const list = h("dl", { className: wide ? "facts wide" : "facts" });
  for (const [key, name] of rows) {
    values[key] = h("dd", {}, "–");
    const pair = [h("dt", {}, name), values[key]];
    list.append(...(wide ? [h("div", {}, ...pair)] : pair));
  }
  return { element: list, tell: (key, text) => tell(values[key], text), value: (key) => values[key] };
}

/** How full something is. */
export function gauge(label) {
  const bar = h("i");
  const element = h("div", { className: "gauge", role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
  return {
    element,
    show(share) {
      const percent = Math.max(0, Math.min(100, 100 * share));
      bar.style.width = `${percent}%`;
      bar.dataset.level = share > 0.95 ? "bad" : share > 0.85 ? "warn" : "";
      element.setAttribute("aria-valuenow", percent.toFixed(0));
    },
  };
}

/** The value of a colour of the sheet, as it is now. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const dark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => dark.matches;

export const whenSchemeChanges = (done) => dark.addEventListener("change", done);

/** A canvas that is drawn by `draw(context, width)` when it is told to, when its width changes, and when the scheme does. */
export function drawing(canvas, draw) {
  let width = 0;
  let asked = false;
  const now = () => {
    asked = false;
    if (width === 0 || !canvas.isConnected) return;
    const height = draw.height(width);
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    if (canvas.style.height !== `${height}px`) canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    draw.draw(context, width, height);
  };
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(now);
  };
  new ResizeObserver(() => {
    width = canvas.clientWidth;
    soon();
  }).observe(canvas);
  whenSchemeChanges(soon);
  return soon;
}
