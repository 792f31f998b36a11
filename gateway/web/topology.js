import {svg, set, keyed, rate} from "./dom.js"

// The map is a ring: in a swarm everybody hears everybody, so there is no shape to find.
const map = document.getElementById("map")
const legend = document.getElementById("legend")
let shown = null

new ResizeObserver(() => shown && draw(shown)).observe(map)

// links are the pairs of nodes: how they hear each other, and the round trip where one is this node.
function links(nodes, self) {
  const out = []
  nodes.forEach((a, i) => nodes.slice(i + 1).forEach(b => {
    const there = a.live && b.live
    const ways = (a.sees ?? []).includes(b.id) + (b.sees ?? []).includes(a.id)
    const kind = !there ? "gone" : ways === 2 ? "both" : ways === 1 ? "half" : "none"
    const far = a.id === self ? b : b.id === self ? a : null
    out.push({a, b, kind, far, trip: there && far ? far.rtt_ms : undefined})
  }))
  return out
}

export const trip = ms => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0)) + " ms"

// many is from how many nodes on names go outward from the ring, and a line is drawn only where two do not hear each other: they
// would cover one another.
const many = 13

// turn is where on the ring a node is.
const turn = (i, nodes) => 2 * Math.PI * i / nodes.length - (nodes.length === 2 ? Math.PI : Math.PI / 2)

// ring is for many nodes: as large as names leave room for, with circles that have room on it beside each other.
function ring(nodes, width, height) {
  const least = Math.min(width, height), outward = Math.min(110, 0.34 * least), round = Math.max(30, least / 2 - outward)
  const r = Math.max(3, Math.min(15, Math.PI * round / nodes.length - 6))
  const at = new Map(nodes.map((n, i) => [n.id, {x: width / 2 + round * Math.cos(turn(i, nodes)), y: height / 2 + round * Math.sin(turn(i, nodes)), turn: turn(i, nodes)}]))
  return {r, at, letters: Math.floor((outward - r - 10) / 7)}
}

// places puts the nodes on a ring, with their names below them.
function places(nodes, width, height) {
  const r = nodes.length > 8 ? 15 : 21, turns = nodes.map((_, i) => turn(i, nodes))
  const top = r + 12, bottom = height - r - 46 // below each are two lines of words
  const high = Math.min(...turns.map(Math.sin)), low = Math.max(...turns.map(Math.sin))
  const rx = Math.max(0, Math.min(width / 2 - 64, 0.8 * height))
  const at = new Map(nodes.map((n, i) => [n.id, {
    x: width / 2 + (nodes.length > 1 ? rx * Math.cos(turns[i]) : 0),
    y: low - high < 0.01 ? (top + bottom) / 2 : top + (bottom - top) * (Math.sin(turns[i]) - high) / (low - high),
  }]))
  return {r, at, letters: nodes.length > 8 ? 12 : 16}
}

// arc is a part of a circle, from and to in turns from the top.
function arc(r, from, to) {
  const at = t => `${(r * Math.sin(2 * Math.PI * t)).toFixed(2)} ${(-r * Math.cos(2 * Math.PI * t)).toFixed(2)}`
  const end = Math.min(to, from + 0.9999)
  return `M${at(from)}A${r} ${r} 0 ${end - from > 0.5 ? 1 : 0} 1 ${at(end)}`
}

// slotArcs are the slots of a node around it: each a piece, or of many, the share that is busy.
function slotArcs(n, r) {
  const k = Math.min(n.slots, 16), gap = k > 1 ? Math.min(0.03, 0.25 / k) : 0
  const busy = n.slots > 16 ? Math.round(16 * n.busy / n.slots) : n.busy
  return Array.from({length: k}, (_, i) => ({d: arc(r, i / k + gap / 2, (i + 1) / k - gap / 2), busy: i < busy}))
}

// word is what stands below a node: what is out of the ordinary, how fast it writes, or whether it does anything.
const word = n => !n.live || n.state !== "ready" ? n.state : n.tokens_per_second > 0 ? rate(n.tokens_per_second) + " tokens/s" : n.busy > 0 ? "busy" : "idle"

// label is what is read out of a node. It begins with what is seen, by which people name it who speak to their computer.
const label = n => [n.name + " " + word(n), n.live && n.queue_host && "queue host", word(n) !== n.state && n.state, n.here && "this node",
  n.live && `${n.busy} of ${n.slots} slots busy`].filter(Boolean).join(", ")

const cut = (s, n) => [...s].length > n ? [...s].slice(0, n - 1).join("") + "…" : s

export function draw(s) {
  shown = s
  const width = map.clientWidth, nodes = [...s.nodes].sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)
  const crowd = nodes.length >= many
  const height = nodes.length < 3 ? 200 : crowd ? Math.min(520, Math.max(280, width * 0.9)) : Math.min(nodes.length < 6 ? 330 : 420, Math.max(280, width * 0.72))
  set(map, {viewBox: `0 0 ${width} ${height}`, height})
  const {r, at, letters} = crowd ? ring(nodes, width, height) : places(nodes, width, height)
  const all = links(nodes, s.self), kinds = new Set(all.map(l => l.kind))
  let lines = map.querySelector(".links"), dots = map.querySelector(".dots")
  if (lines === null) {
    lines = svg("g", {class: "links"})
    dots = svg("g", {class: "dots"})
    map.append(lines, dots)
  }
  keyed(lines, crowd ? all.filter(l => l.kind === "half" || l.kind === "none") : all, l => l.a.id + " " + l.b.id, () => svg("g", {}, svg("line"), svg("text")), (g, l) => {
    const a = at.get(l.a.id), b = at.get(l.b.id), [line, words] = g.children
    set(g, {class: l.kind})
    set(line, {x1: a.x, y1: a.y, x2: b.x, y2: b.y})
    const from = l.far === l.a ? b : a, to = l.far === l.a ? a : b, part = nodes.length > 2 ? 0.6 : 0.5
    set(words, {x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part})
    words.textContent = crowd || l.trip === undefined || l.trip === null ? "" : trip(l.trip)
  })
  keyed(dots, nodes, n => n.id, dot, (g, n) => {
    const p = at.get(n.id), [core, slots, name, more, crown] = g.children
    set(g, {class: "dot " + n.state + (n.queue_host ? " host" : "") + (crowd ? " outward" : ""), transform: `translate(${p.x.toFixed(1)} ${p.y.toFixed(1)})`, "aria-label": label(n)})
    set(core, {r})
    keyed(slots, n.live && r > 6 ? slotArcs(n, r + 5) : [], a => a.d, () => svg("path"), (e, a) => set(e, {d: a.d, class: a.busy ? "busy" : "free"}))
    crown.textContent = n.queue_host && n.live && !crowd ? "queue" : ""
    const left = crowd && Math.cos(p.turn) < -0.01, degrees = crowd ? p.turn * 180 / Math.PI + (left ? 180 : 0) : 0
    set(name, crowd ? {x: left ? -r - 10 : r + 10, y: 4, class: left ? "name left" : "name", transform: `rotate(${degrees.toFixed(1)})`} :
      {x: null, y: r + 23, class: "name", transform: null})
    set(more, {y: r + 38})
    name.textContent = cut(n.name, letters)
    more.textContent = crowd ? "" : word(n)
  })
  const both = crowd ? "The filled one holds the queue. Where there is no line, both hear each other." : "A line: both hear each other."
  legend.textContent = nodes.length < 2 ? "" : both + (kinds.has("half") ? " Dashed: one way alone." : "") +
    (kinds.has("none") ? " Red: not at all." : "") + (!crowd && nodes.some(n => n.rtt_ms !== undefined && !n.here) ? " Round trips are from this node." : "")
}

function dot(n) {
  return svg("a", {href: "#node-" + n.id}, svg("circle"), svg("g", {class: "slots"}),
    svg("text", {class: "name"}), " ", svg("text", {class: "more"}), " ", svg("text", {class: "crown", y: 4}))
}
