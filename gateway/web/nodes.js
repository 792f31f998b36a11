import {el, set, text, keyed, bytes, rate, age, count} from "./dom.js"
import {trip} from "./topology.js"

const rows = document.getElementById("node-rows")

// firstModels is how many models that are not loaded are shown unfolded.
const firstModels = 3

export function drawNodes(s) {
  const versions = new Set(s.nodes.map(n => n.version).filter(Boolean))
  keyed(rows, s.nodes, n => n.id, make, (row, n) => update(row, n, s, versions.size > 1))
}

function make(n) {
  const bar = what => el("span", {role: "cell", "data-head": what}, el("span", {class: "bar"}), el("span", {class: "words"}))
  return el("div", {role: "row", id: "node-" + n.id, tabindex: "-1"},
    el("span", {role: "rowheader", class: "who"}, el("b"), el("span", {class: "state"}), el("span", {class: "marks"})),
    bar("CPU"), bar("Memory"), bar("GPU"),
    el("span", {role: "cell", "data-head": "Slots"}, el("span", {class: "pips", "aria-hidden": "true"}), el("span", {class: "words"})),
    el("span", {role: "cell", "data-head": "Tokens/s", class: "number"}),
    el("span", {role: "cell", "data-head": "Models", class: "models"}))
}

function update(row, n, s, mixed) {
  const [who, cpu, memory, gpu, slots, speed, models] = row.children
  set(row, {class: n.state})
  text(who.children[0], n.name)
  set(who.children[0], {title: n.id})
  text(who.children[1], n.state)
  const lost = !n.live && n.seen_ms > 0 ? "heard " + age(s.at_ms - n.seen_ms) + " ago" : ""
  text(who.children[2], [n.queue_host && n.live && "queue", n.here && "this node", !n.here && n.rtt_ms !== undefined && trip(n.rtt_ms), lost,
    n.live && n.owner, n.live && n.disk_full && "its disk is full", mixed && n.version].filter(Boolean).join(" · "))
  fill(cpu, n.live && n.cpu_percent !== undefined ? n.cpu_percent : null, v => v.toFixed(0) + " %")
  fill(memory, n.live && n.memory > 0 ? 100 * (1 - n.free_memory / n.memory) : null, () => bytes(n.memory - n.free_memory) + " of " + bytes(n.memory),
    n.live && n.free_memory > 0 ? bytes(n.free_memory) + " free" : "")
  const vram = n.vram > 0 && n.free_vram <= n.vram ? bytes(n.vram - n.free_vram) + " of " + bytes(n.vram) : ""
  // A Mac's tells neither its use nor a memory of its own: then its tier is shown.
  fill(gpu, n.live && n.gpu_percent >= 0 ? n.gpu_percent : null, v => v.toFixed(0) + " %" + (vram && ", " + vram), n.live ? vram || n.gpu_tier || "none" : "")
  text(slots.children[0], n.live ? n.slots > 12 ? "" : "●".repeat(Math.min(n.busy, n.slots)) + "○".repeat(Math.max(0, n.slots - n.busy)) : "")
  text(slots.children[1], n.live ? `${n.busy}/${n.slots}` : "–")
  text(speed, n.live && n.tokens_per_second !== undefined ? rate(n.tokens_per_second) : "–")
  drawModels(models, n)
}

// fill shows a share of 100 as a bar with words beside it, or other words alone.
function fill(cell, v, words, without) {
  const [bar, label] = cell.children
  bar.hidden = v === null
  if (v !== null) {
    bar.style.setProperty("--part", Math.min(100, Math.max(0, v)).toFixed(1) + "%")
    bar.classList.toggle("high", v >= 90)
  }
  text(label, v === null ? without || "–" : words(v))
}

const drawn = new WeakMap() // of what the models of a cell were made: who has unfolded them keeps them so

function drawModels(cell, n) {
  const list = n.live ? [...n.models].sort((a, b) => !!b.loaded - !!a.loaded || (a.name < b.name ? -1 : 1)) : []
  const of = JSON.stringify(list.map(m => [m.name, m.loaded, m.speed?.toFixed(0)]))
  if (drawn.get(cell) === of) return
  drawn.set(cell, of)
  const open = cell.querySelector("details")?.open
  const loaded = list.filter(m => m.loaded).length, first = Math.max(loaded, firstModels)
  const rest = list.length > first + 1 ? list.slice(first) : []
  const parts = list.slice(0, list.length - rest.length).map(chip)
  if (rest.length > 0) parts.push(el("details", {open: open ? "" : null}, el("summary", {}, "and " + count(rest.length, "other")), ...rest.map(chip)))
  cell.replaceChildren(...parts.length > 0 ? parts : ["–"])
}

function chip(m) {
  const about = [m.loaded && "loaded", m.embeds && "makes vectors", m.demo && "demo", m.speed > 0 && rate(m.speed) + " tokens/s"].filter(Boolean)
  return el("span", {class: "chip" + (m.loaded ? " loaded" : ""), title: about.join(", ") || null}, m.name,
    m.loaded ? el("span", {class: "hidden"}, " (loaded)") : null)
}
