import uPlot from "./vendor/uPlot.esm.js"
import {el, set, text, keyed, rate} from "./dom.js"

const box = document.getElementById("plot")
const lines = document.getElementById("lines")
const keep = 600 // seconds
const colours = 8

const times = [] // seconds
const speeds = new Map() // by node, one for each of times; null where it was not heard
let plot = null, shown = null, names = new Map(), at = null

// begin takes the past, and forgets what was there.
export function begin(past) {
  times.length = 0
  speeds.clear()
  past.at.forEach(t => times.push(t / 1000))
  for (const [id, values] of Object.entries(past.nodes)) speeds.set(id, values)
}

export function drawSpeed(s) {
  add(s)
  names = new Map(s.nodes.map(n => [n.id, n.name]))
  const ids = [...speeds.keys()].filter(id => names.has(id)).sort((a, b) => names.get(a) < names.get(b) ? -1 : 1)
  if (shown !== ids.join()) {
    shown = ids.join()
    make(ids)
  }
  const total = times.map((_, i) => sum([...speeds.values()].map(v => v[i])))
  plot.setData([times, total, ...ids.length > 1 ? ids.map(id => speeds.get(id)) : []])
  legend(ids, total)
}

function add(s) {
  const t = s.at_ms / 1000, last = times.at(-1)
  if (last !== undefined && t <= last) return
  const push = (when, of) => {
    times.push(when)
    for (const n of s.nodes) if (!speeds.has(n.id)) speeds.set(n.id, Array(times.length - 1).fill(null))
    for (const [id, v] of speeds) v.push(of.get(id) ?? null)
  }
  if (t - last > 15) push(last + 1, new Map()) // nothing is known of the time between
  push(t, new Map(s.nodes.filter(n => n.live).map(n => [n.id, n.tokens_per_second])))
  let old = 0
  while (times[old] < t - keep) old++
  times.splice(0, old)
  for (const v of speeds.values()) v.splice(0, old)
}

function sum(values) {
  const known = values.filter(v => v !== null && v !== undefined)
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) : null
}

const colour = name => () => getComputedStyle(document.documentElement).getPropertyValue(name)

function make(ids) {
  plot?.destroy()
  const axis = {stroke: colour("--dim"), grid: {stroke: colour("--line"), width: 1}, ticks: {show: false}, font: "11px system-ui, sans-serif"}
  plot = new uPlot({
    width: box.clientWidth || 300, height: 180, legend: {show: false}, padding: [8, 8, 0, 0],
    cursor: {y: false, drag: {x: false, y: false}},
    scales: {y: {range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)]}, x: {range: () => [times.at(-1) - keep, times.at(-1)]}},
    axes: [{...axis, size: 26, space: 70, values: (_, ticks) => ticks.map(clock)}, {...axis, size: 44, space: 32}],
    series: [{}, {stroke: colour("--accent"), fill: colour("--wash"), width: 1.5, points: {show: false}},
      ...ids.length > 1 ? ids.map((_, i) => ({stroke: colour("--c" + i % colours), width: 1.25, points: {show: false}, dash: i < colours ? [] : [4, 3]})) : []],
    hooks: {setCursor: [u => { at = u.cursor.idx ?? null; legend(ids, u.data[1]) }]},
  }, [[], []], box)
}

const clock = t => new Date(t * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"})

// legend tells the figures of where the cursor is, or of now.
function legend(ids, total) {
  const i = at ?? times.length - 1
  const rows = [{id: "all", name: at === null ? "all, now" : "all, " + clock(times[i]), v: total[i], colour: "all"}]
  if (ids.length > 1) ids.forEach((id, k) => rows.push({id, name: names.get(id), v: speeds.get(id)[i], colour: "c" + k % colours}))
  keyed(lines, rows, r => r.id, () => el("li", {}, el("span", {class: "key"}), el("span"), el("b")), (li, r) => {
    set(li.children[0], {class: "key " + r.colour})
    text(li.children[1], r.name)
    text(li.children[2], r.v === null || r.v === undefined ? "–" : rate(r.v))
  })
}

new ResizeObserver(() => plot?.setSize({width: box.clientWidth, height: 180})).observe(box)
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot?.redraw(false))
