"""The inspector in a headless Chromium: what an operator sees of a daemon that holds collections and answers queries, in light
and dark, narrow and wide. See inspector.sh, which has what this needs.

    inspector.py CHROMIUM FOLDER OUT
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PATIENCE = 60.0
# Of an evaluation, which a build that is not optimized takes long for.
MUCH_PATIENCE = 600.0
LAYERS, KV_HEADS, TOKENS = 4, 4, 4096
SIZES = {"narrow": (360, 780), "wide": (1440, 900)}
SCHEMES = ("light", "dark")

expect.set_options(timeout=1000 * PATIENCE)


class Daemon:
    """A daemon on a data directory of its own, which goes with it."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work
        self.port = 0
        self.starts = 0
        self.start()

    def start(self) -> None:
        with open(self.work / "log", "ab") as log:
            # Small segments, so that there are some.
            sizes = ("index.segment_tokens=1024", "index.decode_segment_tokens=512")
            settings = ("grpc.listen=", f"http.listen=127.0.0.1:{self.port}", *sizes)
            flags = [flag for setting in settings for flag in ("--set", setting)]
            command = [self.folder / "wavekvd", "--data-dir", self.work / "data", *flags]
            self.process = subprocess.Popen(command, stderr=log)
        self.starts += 1
        until(lambda: self.log().count(" ready boot_epoch=") == self.starts, self.log)
        self.port = int(re.findall(r"listening on HTTP .*address=127\.0\.0\.1:(\d+)", self.log())[-1])

    def log(self) -> str:
        return (self.work / "log").read_text()

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.log()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *words: object) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*words), check=True, stdout=subprocess.DEVNULL)

    def command(self, *words: object) -> list:
        socket = self.work / "data" / "wavekvd.sock"
        return [self.folder / "wavekv", "--address", f"unix:{socket}", *map(str, words)]

    def ask(self, what: str) -> dict:
        with urllib.request.urlopen(f"{self.origin}/inspector/api/{what}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def names(self) -> list:
        return [found["name"] for found in self.ask("collections")["collections"]]


def until(holds, otherwise=lambda: ""):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not come about:\n{otherwise()}")


def filled(daemon: Daemon) -> str:
    """Collections, one of them with queries that came while somebody looked at it; answers its name."""
    trace = daemon.work / "trace.safetensors"
    sizes = ("--tokens", TOKENS, "--layers", LAYERS, "--kv-heads", KV_HEADS)
    daemon.run("generate", trace, *sizes)
    daemon.run("ingest", trace, "--name", "chat/2026-11-27:alpha", "--cluster")
    daemon.run("ingest", trace, "--name", "everything-is-read", "--index", "flat", "--namespace", "team-a")
    with queries(daemon, trace) as name:
        pass
    return name


@contextlib.contextmanager
def queries(daemon: Daemon, trace: Path):
    """Queries that come to a collection of their own, whose name it gives before they do; ends when they have."""
    before = set(daemon.names())
    modes = [flag for mode in ("exact", "retroinfer", "adaptive:0.05") for flag in ("--mode", mode)]
    evaluation = subprocess.Popen(daemon.command("eval", trace, "--keep", "--audit", *modes), stdout=subprocess.DEVNULL)
    name = until(lambda: next(iter(set(daemon.names()) - before), None), daemon.log)
    # Somebody looks.
    daemon.ask(f"collection?{urllib.parse.urlencode({'name': name})}")
    yield name
    assert evaluation.wait(MUCH_PATIENCE) == 0


class Watched:
    """A page, and all that it asked for and complained of."""

    def __init__(self, browser, origin: str, scheme: str, size: str) -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, reduced_motion="reduce")
        self.origin = origin
        self.asked, self.complaints = [], []
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, view: str) -> None:
        self.page.goto(f"{self.origin}/inspector/#/{view}")

    def assert_calm(self) -> None:
        assert not self.complaints, self.complaints
        elsewhere = [url for url in self.asked if not url.startswith(f"{self.origin}/")]
        assert self.asked and not elsewhere, elsewhere

    def assert_fits(self) -> None:
        over = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"the page is {over} pixels wider than what it is in"

    def assert_named(self) -> None:
        """Everything that can be used has a name for those who do not see it."""
        nameless = self.page.evaluate(
            """[...document.querySelectorAll("a, button, input, select, canvas:not([aria-hidden]), [role]")]
                .filter((e) => !(e.textContent.trim() || e.labels?.length || e.getAttribute("aria-label")) && e.checkVisibility())
                .map((e) => e.outerHTML)"""
        )
        assert not nameless, nameless

    def colours(self, name: str) -> int:
        """How many colours a canvas has."""
        canvas = self.page.get_by_label(name)
        return canvas.evaluate(
            """(canvas) => {
                // A copy: to read from the canvas itself would change how it is drawn.
                const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
                copy.drawImage(canvas, 0, 0);
                const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
                return new Set(new Uint32Array(data.buffer)).size;
            }"""
        )

    def shot(self, out: Path, view: str, scheme: str, size: str) -> None:
        self.page.evaluate("scrollTo(0, 0)")
        self.page.wait_for_timeout(300)
        self.page.screenshot(path=out / f"{view}-{scheme}-{size}.png", full_page=True)


def overview(watched: Watched) -> None:
    watched.go("")
    page = watched.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.locator("#status")).to_have_text(re.compile("ok|degraded"))
    memory = page.locator(".card", has=page.get_by_role("heading", name="Memory"))
    expect(memory).to_contain_text(re.compile(r"[1-9][\d.]* [MG]iB used.*Budget4.00 GiB"))
    clustered = page.locator(".card", has=page.get_by_role("heading", name="Tokens clustered"))
    expect(clustered).to_contain_text(re.compile(r"\d % of all|\d\d\.\d % of all"))


def collections(watched: Watched) -> None:
    watched.go("collections")
    rows = watched.page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="chat/2026-11-27:alpha")).to_contain_text("4,096")
    expect(rows.filter(has_text="everything-is-read")).to_contain_text("team-a")


def collection(watched: Watched, name: str) -> None:
    watched.go(f"collection?namespace=default&name={name}&layer=1&head=2")
    page = watched.page
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    expect(page.get_by_role("region", name="Layers").locator("tbody tr")).to_have_count(LAYERS)
    expect(page.get_by_label("Shown").locator("option")).to_have_count(6)
    expect(page.get_by_role("heading", name="Clusters of layer 1, KV head 2")).to_be_visible()
    expect(page.get_by_label("Zones of the last query")).to_contain_text(re.compile(r"coded \(read as codes\)[1-9]"))
    expect(page.get_by_label("Segments").locator("li")).to_have_count(4)
    expect(page.get_by_role("region", name="Clusters")).to_contain_text("the last query (adaptive:0.05")
    until(lambda: watched.colours("Heat map") > 6)
    until(lambda: watched.colours("Clusters in a plane") > 20)


def figures(watched: Watched) -> None:
    """Another figure is another picture; a cell is chosen by the keyboard, and leads to the clusters of its head."""
    page = watched.page
    heads = page.get_by_role("region", name="KV heads")
    canvas = page.get_by_label("Heat map")
    before = canvas.evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_label("Shown").select_option("sharpness")
    until(lambda: canvas.evaluate("(canvas) => canvas.toDataURL()") != before)
    expect(heads.locator(".readout")).to_contain_text(re.compile(r"Layer 1, head 2: attention sharpness 0\.\d+"))
    expect(heads.locator(".readout")).to_contain_text(re.compile(r"audited error \d"))
    canvas.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Clusters of layer 2, KV head 3")).to_be_visible()
    assert "layer=2&head=3" in page.url, page.url
    clusters = page.get_by_role("region", name="Clusters")
    page.get_by_label("Clusters in a plane").focus()
    page.keyboard.press("ArrowRight")
    expect(clusters.locator(".readout")).to_contain_text(re.compile(r"Segment 0 \(tokens \d+ to [\d,]+\) · \d+ token"))
    page.get_by_label("Shown").select_option("token_share")


def latency(watched: Watched) -> None:
    watched.go("latency")
    page = watched.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Live latency")
    rows = page.get_by_role("region", name="Operations").first.locator("tbody tr")
    expect(rows.filter(has_text="attend").first).to_contain_text(re.compile(r"/s"))
    until(lambda: watched.colours("p50 and p99") > 3)


def busy(watched: Watched, daemon: Daemon) -> None:
    """Queries that come while somebody looks are counted, with their times."""
    latency(watched)
    with queries(daemon, daemon.work / "trace.safetensors") as name:
        pass
    row = watched.page.get_by_role("region", name="Operations").first.locator("tbody tr").filter(has_text="attend").first
    expect(row).to_contain_text(re.compile(r"\d (µs|ms)"))
    daemon.run("collections", "rm", name)


def arithmetic(watched: Watched) -> None:
    """Of two scrapes, the calls between them and their quantiles: 100 calls, half within 1 ms, all but two within 4 ms."""
    line = 'wavekv_service_call_seconds_{}{{operation="attend",outcome="{}",transport="shm"{}}} {}'

    def scrape(outcome: str, counts: list) -> str:
        bounds = ("0.001", "0.002", "0.004", "+Inf")
        buckets = [line.format("bucket", outcome, f',le="{bound}"', count) for bound, count in zip(bounds, counts, strict=True)]
        return "\n".join([*buckets, line.format("count", outcome, "", counts[-1])])

    before = scrape("ok", [10, 20, 30, 30])
    after = "\n".join([scrape("ok", [60, 90, 128, 129]), scrape("cancelled", [0, 0, 0, 1]), "wavekv_other 1"])
    found = watched.page.evaluate(
        """async ([before, after]) => {
            const { between, counted, quantile } = await import("/inspector/latency.js");
            const [was, is] = [before, after].map(counted);
            const calls = between(was.get("attend"), is.get("attend"));
            const same = JSON.stringify(calls) === JSON.stringify(between(was.get("all"), is.get("all")));
            return { count: calls.count, failed: calls.failed, same, silent: quantile(between(is.get("all"), is.get("all")), 0.5),
                at: [0.25, 0.5, 0.74, 0.99].map((share) => quantile(calls, share)) };
        }""",
        [before, after],
    )
    assert (found["count"], found["failed"], found["same"], found["silent"]) == (100, 1, True, None), found
    # Of the two slowest all that is known is that they took longer than the last bound.
    expected = (0.0005, 0.001, 0.0022857, 0.004)
    assert all(abs(a - b) < 1e-6 for a, b in zip(found["at"], expected, strict=True)), found


def hostile(watched: Watched) -> None:
    """What an address says is text."""
    page = watched.page
    name = urllib.parse.quote("<img src=x onerror=alert(1)>")
    asked = len(watched.asked)
    watched.go(f"collection?namespace=default&name={name}")
    expect(page.get_by_role("alert").first).to_contain_text("characters of A-Z")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img").count() == 0
    assert all("/x" not in urllib.parse.urlsplit(url).path for url in watched.asked[asked:])
    refused = [said for said in watched.complaints if "400 (Bad Request)" in said]
    watched.complaints = [said for said in watched.complaints if said not in refused]


def gone_and_back(watched: Watched, daemon: Daemon) -> None:
    page = watched.page
    collections(watched)
    daemon.stop()
    expect(page.locator("#gone")).to_contain_text("The daemon is gone since")
    expect(page.locator("#status")).to_have_text("gone")
    expect(page.locator("tbody tr")).to_have_count(3)
    daemon.start()
    expect(page.locator("#gone")).to_be_hidden(timeout=20_000)
    expect(page.locator("#status")).to_have_text(re.compile("ok|degraded"))


def main(chromium: str, folder: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        daemon = Daemon(folder, Path(work))
        # Of a root user: Chromium's own sandbox wants another.
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=os.getuid() != 0)
        try:
            name = filled(daemon)
            views = {
                "overview": overview,
                "collections": collections,
                "collection": lambda watched: collection(watched, name),
                "latency": latency,
            }
            for scheme in SCHEMES:
                for size in SIZES:
                    watched = Watched(browser, daemon.origin, scheme, size)
                    for view, see in views.items():
                        see(watched)
                        watched.assert_fits()
                        watched.assert_named()
                        if view == "collection":
                            figures(watched)
                        if view == "latency" and (scheme, size) == (SCHEMES[0], "wide"):
                            arithmetic(watched)
                            busy(watched, daemon)
                        watched.shot(out, view, scheme, size)
                    hostile(watched)
                    watched.assert_calm()
                    watched.context.close()
                    print(f"inspector: {scheme}, {size}: as it should be")
            watched = Watched(browser, daemon.origin, "light", "wide")
            gone_and_back(watched, daemon)
            print("inspector: a daemon that is gone is told, and one that is back is seen")
            browser.close()
        finally:
            daemon.process.kill()
    print(f"inspector: screenshots are in {out}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]))
