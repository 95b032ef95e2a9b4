// What the pages cannot do without a script: theme, zone, dialogs, copy, toasts, shortcuts, charts.
// Every page works without it. Nothing here ever sees a key but the dialog that shows one.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const remember = (name, value) => {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  };

  // The server writes times in the zone of this cookie from the next page on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`tollgate_zone=${encodeURIComponent(zone)}`)) remember("tollgate_zone", zone);

  const say = text => {
    const box = one(".toasts");
    if (!box || !text) return;
    const toast = Object.assign(document.createElement("div"), { className: "toast", textContent: text });
    box.append(toast);
    setTimeout(() => toast.remove(), 6000);
  };
  const open = id => {
    const dialog = document.getElementById(id);
    if (dialog && dialog.localName === "dialog" && !dialog.open) { dialog.showModal(); return true; }
    return false;
  };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  document.addEventListener("click", async event => {
    const hit = event.target.closest("[data-open],[data-close],[data-copy],[data-theme-toggle]");
    if (hit) {
      if (hit.dataset.open && open(hit.dataset.open)) event.preventDefault();
      if ("close" in hit.dataset) { const dialog = hit.closest("dialog"); if (dialog) { event.preventDefault(); dialog.close(); } }
      if ("themeToggle" in hit.dataset) {
        event.preventDefault();
        root.dataset.theme = isDark() ? "light" : "dark";
        remember("tollgate_theme", root.dataset.theme);
        drawAll();
      }
      if (hit.dataset.copy) {
        const text = document.getElementById(hit.dataset.copy).textContent;
        try { await navigator.clipboard.writeText(text); say("Copied"); }
        catch { say("The browser refused to copy. Select the text and copy it yourself."); }
      }
      return;
    }
    // A click on a row does what its first link does.
    const row = event.target.closest("tbody tr");
    if (row && !event.target.closest("a,button,input,label,summary") && !getSelection().toString()) one("a[href]", row)?.click();
  });

  // What needs a confirmation: a field with the expected text, or a box, that wakes a button.
  document.addEventListener("input", event => {
    const { confirm, wakes } = event.target.dataset;
    if (wakes) document.getElementById(wakes).disabled = confirm ? event.target.value.trim() !== confirm : !event.target.checked;
    // A pasted key never gets into an address: filters look for its last four characters.
    const key = /[a-z0-9]{2,12}_(?:live|test)_[0-9A-Za-z]{28}([0-9A-Za-z]{4})/;
    if (event.target.closest("form[method=get]")) {
      const found = key.exec(event.target.value ?? "");
      if (found) event.target.value = found[1];
    }
  });
  document.addEventListener("change", event => { if (event.target.dataset.submits !== undefined) event.target.form.requestSubmit(); });

  // The secret of a link stands in the fragment, which browsers send to nobody. It goes into the form, and
  // out of the address and the history.
  const takeSecret = () => {
    const field = one("input[data-fragment]");
    if (!field || !/^#[\w-]{43}$/.test(location.hash)) return;
    field.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    field.closest(".field").hidden = true;
    if (field.dataset.fragment === "go") field.form.requestSubmit();
  };

  const awaken = () => {
    takeSecret();
    all("[data-wakes]").forEach(field => { const button = document.getElementById(field.dataset.wakes); if (button) button.disabled = true; });
    all("dialog[data-keep]").forEach(dialog => {
      dialog.addEventListener("cancel", event => event.preventDefault());
      dialog.addEventListener("keydown", event => { if (event.key === "Escape") event.preventDefault(); });
    });
    all("dialog[data-onload]").forEach(dialog => { dialog.removeAttribute("open"); dialog.showModal(); });
    all("template[data-toast]").forEach(told => say(told.dataset.toast));
    drawAll();
    all("figure[data-chart]").forEach(figure => watch.observe(figure));
  };

  // ---- charts ----
  const colour = name => getComputedStyle(root).getPropertyValue(name).trim();
  const drawn = new Map();
  const stacked = (columns, from) => {
    const sums = columns[0].map(() => 0);
    return columns.slice(from).map(column => column.map((value, index) => value === null ? null : (sums[index] += value)));
  };
  // The least of 1, 2, 4 or 8 tens that all values fit under: it divides by four.
  const nice = most => {
    const ten = 10 ** Math.floor(Math.log10(Math.max(most, 0.01)));
    return [1, 2, 4, 8, 10].map(step => step * ten).find(top => top >= most);
  };
  const moment = (seconds, span) => {
    const at = new Date(seconds * 1000);
    return span > 172800 ? at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })
      : at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  };
  const draw = figure => {
    const data = JSON.parse(figure.dataset.points || "null");
    if (!data || !window.uPlot || !data.times.length) return;
    drawn.get(figure)?.destroy();
    const hidden = new Set(all(".legend button[aria-pressed=false]", figure).map(button => button.dataset.series));
    const wanted = data.series.filter(series => !hidden.has(series.name));
    // Stacked from the base; drawn from the top, so that what is below covers it.
    // Lines of meters are each for themselves.
    const levels = data.lines ? wanted.map(series => series.values) : stacked(wanted.map(series => series.values), 0).reverse();
    const series = data.lines ? wanted : [...wanted].reverse();
    const plot = one(".plot", figure);
    plot.replaceChildren();
    const bars = (self, index) => uPlot.paths.bars({ size: [0.67, 40] })(self, index, 0, self.data[0].length - 1);
    // A line through one point alone is not seen.
    const alone = (self, index) => {
      const values = self.data[index];
      const found = values.flatMap((value, at) => (value ?? null) !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? [at] : []);
      return found.length ? found : null;
    };
    const options = {
      width: plot.clientWidth, height: Number(figure.dataset.height || 200), legend: { show: false },
      padding: [8, 16, 0, 0], cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
      scales: { x: { time: true }, y: { range: (_, least, most) => [least < 0 ? -nice(-least) : 0, nice(most)] } },
      axes: [
        { stroke: colour("--ink-3"), grid: { show: false }, ticks: { show: false }, font: "11px system-ui", size: 22, space: 64, values: (self, marks) => marks.map(mark => moment(mark, self.scales.x.max - self.scales.x.min)) },
        { stroke: colour("--ink-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 52, splits: (self, axis, least, most) => [0, 1, 2, 3, 4].map(step => least + (most - least) * step / 4), values: (self, marks) => marks.map(mark => mark.toLocaleString("en-GB", { maximumSignificantDigits: 3 })) },
      ],
      series: [{}, ...series.map(own => ({
        label: own.name, width: data.lines || own.name === "Allowed" ? 1.5 : 0, points: { show: false, size: 4, filter: data.lines ? alone : () => null }, paths: data.bars ? bars : undefined,
        stroke: colour(own.colour), fill: data.lines ? undefined : own.name === "Allowed" && !data.bars ? colour("--allowed-area") : colour(own.colour),
      }))],
      hooks: { setSelect: [self => {
        if (self.select.width < 4 || !figure.dataset.events) return;
        const at = left => new Date(self.posToVal(left, "x") * 1000).toISOString();
        const address = new URL(figure.dataset.events, location.origin);
        address.searchParams.set("from", at(self.select.left));
        address.searchParams.set("to", at(self.select.left + self.select.width));
        location.assign(address);
      }] },
    };
    drawn.set(figure, new uPlot(options, [data.times, ...levels], plot));
  };
  const drawAll = () => all("figure[data-chart]").forEach(draw);
  document.addEventListener("click", event => {
    const button = event.target.closest("figure[data-chart] .legend button");
    if (!button) return;
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "true" ? "false" : "true");
    draw(button.closest("figure"));
  });
  let resizing;
  const widths = new Map();
  const watch = new ResizeObserver(entries => {
    const changed = entries.filter(entry => widths.get(entry.target) !== entry.contentRect.width);
    changed.forEach(entry => widths.set(entry.target, entry.contentRect.width));
    if (changed.length) { clearTimeout(resizing); resizing = setTimeout(drawAll, 100); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  // ---- keyboard ----
  let went = 0;
  let at = -1;
  const rows = () => all("main tbody tr, main .results a").filter(row => row.offsetParent);
  const step = by => {
    const found = rows();
    if (!found.length) return;
    found[at]?.classList.remove("chosen");
    at = Math.max(0, Math.min(found.length - 1, at + by));
    found[at].classList.add("chosen");
    (one("a[href]", found[at]) ?? found[at]).focus({ preventScroll: true });
    found[at].scrollIntoView({ block: "nearest" });
  };
  const acts = {
    "/": () => one(".find")?.click(), "?": () => open("shortcuts"), t: () => one("[data-theme-toggle]")?.click(),
    j: () => step(1), k: () => step(-1), n: () => one("[data-new]")?.click(), l: () => one("[data-live]")?.click(),
    f: () => one(".filters .in")?.focus(), Escape: () => one("[data-back]")?.click(),
  };
  addEventListener("keydown", event => {
    if (event.metaKey || event.ctrlKey || event.altKey || root.dataset.shortcuts === "off") return;
    if (event.target.closest("input,textarea,select,[contenteditable]") || one("dialog[open]")) return;
    if (Date.now() - went < 1200) {
      went = 0;
      const place = one(`.side a[data-go="${CSS.escape(event.key)}"]`);
      if (place) { event.preventDefault(); return place.click(); }
    }
    if (event.key === "g") { went = Date.now(); return; }
    if (/^[1-5]$/.test(event.key)) return all(".ranges a")[Number(event.key) - 1]?.click();
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  });

  // A live tail waits while somebody points at it or is in it with the keyboard.
  document.addEventListener("htmx:beforeRequest", event => {
    if (event.target.matches("[data-tail]:is(:hover, :focus-within)")) event.preventDefault();
  });

  document.readyState === "loading" ? addEventListener("DOMContentLoaded", awaken) : awaken();
  document.addEventListener("htmx:afterSwap", () => { at = -1; });
})();
