// The page: which view is shown, when it is asked for anew, and whether the daemon is there.

import { Gone, Refused, health } from "./ask.js";
import { h, tell } from "./elements.js";
import { overview } from "./overview.js";
import { collections } from "./collections.js";
import { collection } from "./collection.js";
import { latency } from "./latency.js";

const VIEWS = { overview, collections, collection, latency };
/** Between two looks at the health of the daemon, and before one that was gone is asked again. */
const PULSE = 3000;
const AGAIN = 1500;

const main = document.getElementById("main");
const status = document.getElementById("status");
const banner = document.getElementById("gone");

let shown = null;
let goneSince = null;

function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path in VIEWS ? path : "overview", fields: new URLSearchParams(query ?? "") };
}

function isHere() {
  if (goneSince === null) return;
  goneSince = null;
  document.body.classList.remove("is-gone");
  banner.hidden = true;
}

function isGone(error) {
  goneSince ??= new Date();
  document.body.classList.add("is-gone");
  banner.hidden = false;
  tell(banner, `The daemon is gone since ${goneSince.toLocaleTimeString("en-GB")}: ${error.message}. What is shown is what it said last; it is asked again.`);
  status.dataset.status = "gone";
  tell(status, "gone");
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

/** Returns when somebody can see the page. */
const seen = () =>
  document.hidden
    ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }))
    : Promise.resolve();

/** Asks for what a view shows until another is shown. */
async function keep(view, signal) {
  while (!signal.aborted) {
    await seen();
    let wait = view.every;
    try {
      await view.update(signal);
      isHere();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Gone) {
        isGone(error);
        wait = AGAIN;
      } else if (error instanceof Refused) {
        isHere();
        view.refused(error);
      } else {
        throw error;
      }
    }
    await pause(wait, signal);
  }
}

function show() {
  const { name, fields } = address();
  if (shown?.name === name && shown.view.moved?.(fields)) return;
  shown?.stop.abort();
  const stop = new AbortController();
  const view = VIEWS[name](fields);
  const refusal = h("p", { className: "refusal", role: "alert", hidden: true });
  const update = view.update;
  view.update = async (signal) => {
    await update(signal);
    refusal.hidden = true;
  };
  view.refused = (error) => {
    tell(refusal, error.message);
    refusal.hidden = false;
  };
  shown = { name, view, stop };
  main.replaceChildren(refusal, ...view.elements);
  document.title = `${view.title} · WaveKV inspector`;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    const isCurrent = link.dataset.view === (name === "collection" ? "collections" : name);
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  keep(view, stop.signal);
}

async function pulse() {
  for (;;) {
    await seen();
    try {
      const now = await health();
      isHere();
      status.dataset.status = now.status;
      tell(status, now.status);
      status.title = now.reasons.map((reason) => reason.sentence).join("\n");
    } catch (error) {
      isGone(error instanceof Gone ? error : new Gone("its answer cannot be read"));
    }
    await pause(goneSince === null ? PULSE : AGAIN);
  }
}

addEventListener("hashchange", () => {
  const before = shown?.name;
  show();
  if (shown.name !== before) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
show();
pulse();
