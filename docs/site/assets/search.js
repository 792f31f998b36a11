// The search of the documentation: in the page itself, through search-index.js, which is loaded when somebody
// first searches. Without a script the site is the same but for the search.
"use strict";
(() => {
  const form = document.querySelector(".search");
  const field = document.getElementById("q");
  const hits = document.getElementById("hits");
  const root = document.documentElement.dataset.root;
  const most = 12;
  let rows; // {to, title, heading, text, weight, and the texts in lower case}
  let loading;
  let chosen = -1;
  let shown = ""; // what the results are of
  form.hidden = false;

  const load = () => loading ??= new Promise((done) => {
    const s = document.createElement("script");
    s.src = root + "search-index.js";
    s.onload = () => {
      rows = window.searchIndex.map(([to, title, heading, text, weight]) =>
        ({ to, title, heading, text, weight, t: title.toLowerCase(), h: heading.toLowerCase(), x: text.toLowerCase() }));
      done();
    };
    s.onerror = () => { loading = undefined; say("The index of the search could not be loaded."); };
    document.head.append(s);
  });

  // How well a row matches: each word must be in it; a heading says more than text, the beginning of a word more
  // than its middle.
  const score = (row, words, all) => {
    let sum = 0;
    for (const w of words) {
      const in_ = (s) => { const i = s.indexOf(w); return i < 0 ? 0 : i === 0 || !/[\p{L}\p{N}]/u.test(s[i - 1]) ? 2 : 1; };
      const s = 8 * in_(row.h) + 5 * in_(row.t) + in_(row.x);
      if (!s) return 0;
      sum += s;
    }
    if (words.length > 1 && row.x.includes(all)) sum += 6;
    if (row.h === all || row.t === all || row.h.endsWith(" " + all)) sum += 20;
    return sum * row.weight;
  };

  // The words around the first that matches, with all that match marked.
  const excerpt = (row, words) => {
    const span = document.createElement("span");
    span.className = "text";
    const first = Math.min(...words.map((w) => row.x.indexOf(w)).filter((i) => i >= 0), row.x.length);
    let from = first < row.x.length ? Math.max(0, first - 50) : 0;
    if (from > 0) from = row.text.indexOf(" ", from) + 1;
    let to = from + 150;
    if (to < row.text.length) to = row.text.lastIndexOf(" ", to);
    mark(span, (from > 0 ? "… " : "") + row.text.slice(from, to) + (to < row.text.length ? " …" : ""), words);
    return span;
  };
  const mark = (into, text, words) => {
    const low = text.toLowerCase();
    for (let at = 0; at < text.length;) {
      let next = text.length, len = 0;
      for (const w of words) {
        const i = low.indexOf(w, at);
        if (i >= 0 && (i < next || (i === next && w.length > len))) { next = i; len = w.length; }
      }
      into.append(text.slice(at, next));
      if (!len) break;
      const m = document.createElement("mark");
      m.textContent = text.slice(next, next + len);
      into.append(m);
      at = next + len;
    }
  };

  const open = (yes) => { hits.hidden = !yes; field.setAttribute("aria-expanded", yes); };
  const say = (text) => {
    const p = document.createElement("p");
    p.textContent = text;
    hits.replaceChildren(p);
    open(true);
  };
  const choose = (i) => {
    const links = hits.querySelectorAll("a");
    links.forEach((a) => a.removeAttribute("aria-selected"));
    chosen = links.length ? (i + links.length) % links.length : -1;
    field.removeAttribute("aria-activedescendant");
    if (chosen < 0) return;
    links[chosen].setAttribute("aria-selected", "true");
    links[chosen].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", links[chosen].id);
  };

  const search = async () => {
    const all = field.value.trim().toLowerCase();
    const words = all.split(/\s+/).filter(Boolean);
    if (!words.length) return open(false);
    await load();
    if (field.value.trim().toLowerCase() !== all) return; // somebody went on typing
    shown = all;
    const best = rows.map((row) => [score(row, words, all), row]).filter(([s]) => s > 0).sort((a, b) => b[0] - a[0]).slice(0, most);
    if (!best.length) return say(`Nothing has “${field.value.trim()}”.`);
    hits.replaceChildren(...best.map(([, row], i) => {
      const a = document.createElement("a");
      a.href = root + row.to;
      a.id = "hit-" + i;
      a.setAttribute("role", "option");
      const b = document.createElement("b");
      mark(b, row.heading || row.title, words);
      a.append(b);
      if (row.heading) {
        const where = document.createElement("span");
        where.className = "where";
        where.textContent = row.title;
        a.append(where);
      }
      a.append(excerpt(row, words));
      return a;
    }));
    open(true);
    choose(0);
  };

  field.addEventListener("focus", () => { load(); if (field.value) search(); });
  field.addEventListener("input", search);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    if (shown !== field.value.trim().toLowerCase()) await search(); // faster than the index came
    if (!hits.hidden) hits.querySelectorAll("a")[chosen]?.click();
  });
  form.addEventListener("keydown", (e) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); choose(chosen + (e.key === "ArrowDown" ? 1 : -1)); }
    if (e.key === "Escape") { field.value = ""; open(false); field.blur(); }
  });
  hits.addEventListener("click", () => open(false));
  document.addEventListener("click", (e) => { if (!form.contains(e.target)) open(false); });
  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, [contenteditable]")) return;
    e.preventDefault();
    field.focus();
    field.select();
  });
})();
