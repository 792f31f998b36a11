// What others say comes in as text nodes and attributes, never as markup.

// el makes an element: attributes by name, then children, which are elements or text.
export function el(name, attrs = {}, ...children) {
  const e = document.createElement(name)
  set(e, attrs)
  e.append(...children.filter(c => c !== null && c !== undefined))
  return e
}

// svg is el for SVG.
export function svg(name, attrs = {}, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name)
  set(e, attrs)
  e.append(...children)
  return e
}

// set sets attributes; one that is null or false goes.
export function set(e, attrs) {
  for (const [name, v] of Object.entries(attrs)) {
    if (v === null || v === undefined || v === false) e.removeAttribute(name)
    else if (e.getAttribute(name) !== String(v)) e.setAttribute(name, v)
  }
}

// text sets the text of an element, if it is another one.
export function text(e, s) {
  if (e.textContent !== String(s)) e.textContent = s
}

// keyed makes the children of parent those of items, in order, each kept as long as its key is there: so
// the focus, and what is selected, stay where they are.
export function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map(c => [c.dataset.key, c]))
  let at = parent.firstElementChild
  for (const item of items) {
    const k = String(key(item))
    let e = old.get(k)
    if (e === undefined) {
      e = make(item)
      e.dataset.key = k
    }
    old.delete(k)
    update(e, item)
    if (e === at) at = at.nextElementSibling
    else parent.insertBefore(e, at)
  }
  for (const e of old.values()) e.remove()
}

// table shows rows of cells under headers. A row is {key, cells, class}; a cell is text or an element.
export function table(parent, headers, rows, empty) {
  if (rows.length === 0) {
    parent.replaceChildren(el("p", {class: "dim"}, ...[].concat(empty)))
    return
  }
  let t = parent.querySelector("table")
  if (t === null) {
    t = el("table", {}, el("thead", {}, el("tr", {}, ...headers.map(h => el("th", {scope: "col"}, h)))), el("tbody"))
    parent.replaceChildren(t)
  }
  keyed(t.tBodies[0], rows, r => r.key, r => el("tr", {}, ...r.cells.map((_, i) => el("td", {"data-head": headers[i]}))), (tr, r) => {
    set(tr, {class: r.class ?? null})
    r.cells.forEach((c, i) => cell(tr.children[i], c))
  })
}

// cell fills a cell. A link stays, with new words.
function cell(td, c) {
  if (typeof c === "string" || typeof c === "number") {
    if (td.firstElementChild !== null) td.replaceChildren()
    text(td, c)
    return
  }
  const old = td.firstElementChild
  if (old !== null && old.isEqualNode(c)) return
  td.replaceChildren(c)
}

// age spells milliseconds.
export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 60) return s + " s"
  if (s < 3600) return Math.floor(s / 60) + " min" + (s < 600 && s % 60 ? " " + s % 60 + " s" : "")
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min"
  return Math.floor(s / 86400) + " d " + Math.floor(s % 86400 / 3600) + " h"
}

// bytes spells a size as GiB.
export function bytes(n) {
  const g = n / 2 ** 30
  return (g >= 10 ? g.toFixed(0) : g.toFixed(1)) + " GiB"
}

// rate spells tokens/s.
export const rate = n => n >= 100 ? n.toFixed(0) : n.toFixed(1)

export const count = (n, what) => n + " " + what + (n === 1 ? "" : "s")
