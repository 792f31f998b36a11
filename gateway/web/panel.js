import {el, age} from "./dom.js"

// A task's panel is open while the address says #task/ID: so it can be linked to, and the back button closes it.
const dialog = document.getElementById("task")
const body = document.getElementById("task-body")
let nodes = [], asked = null, timer = 0

export function know(s) { nodes = s.nodes }

const name = id => nodes.find(n => n.id === id)?.name ?? id
const time = ns => ns < 1e9 ? (ns / 1e6).toFixed(0) + " ms" : ns < 6e10 ? (ns / 1e9).toFixed(1) + " s" : age(ns / 1e6)

function wanted() {
  const [, id] = location.hash.match(/^#task\/(.+)$/) ?? []
  try { return id === undefined ? null : decodeURIComponent(id) } catch { return null }
}

function follow() {
  clearTimeout(timer)
  asked = wanted()
  if (asked === null) {
    dialog.close()
    return
  }
  body.replaceChildren(el("p", {class: "dim"}, "Asking the nodes …"))
  if (!dialog.open) dialog.showModal()
  load(asked)
}

async function load(id) {
  let parts, again = 3000
  try {
    const r = await fetch("/ui/tasks/" + encodeURIComponent(id), {headers: {Accept: "application/json"}})
    const v = await r.json()
    if (r.ok && !["queued", "running"].includes(v.task.state)) again = 0
    parts = r.ok ? show(v) : [el("p", {class: "bad", role: "alert"}, v.error?.message ?? "The node answers " + r.status + ".")]
  } catch {
    parts = [el("p", {class: "bad", role: "alert"}, "The node does not answer; trying again.")]
  }
  if (asked !== id) return
  body.replaceChildren(...parts)
  if (again > 0) timer = setTimeout(() => load(id), again)
}

function show({task: t, why: w, unknown}) {
  const facts = [
    ["task", t.id], ["state", t.state], ["type", t.type], ["model", t.model], ["node", t.node_id && name(t.node_id)],
    ["submitted", t.age_ms > 0 && age(t.age_ms) + " ago" + (t.submitter ? ", by " + name(t.submitter) : "")],
    ["attempts", t.attempts > 0 && String(t.attempts)], ["durable", t.durable && (t.copies > 0 ? "yes, on " + t.copies + (t.copies === 1 ? " disk" : " disks") : "yes")],
    ["position", t.position > 0 && t.position + (t.wait_ms > 0 ? ", about " + age(t.wait_ms) : "")], ["waits", t.warning], ["error", t.code],
    ["decided by", w?.by && name(w.by)], ["waited", w?.by && time(w.waited_ns)], ["prompt", w?.prompt_tokens > 0 && "about " + w.prompt_tokens + " tokens"],
    ["note", w?.note], ["bids", unknown],
  ].filter(([, v]) => v)
  const parts = [el("dl", {class: "facts"}, ...facts.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))]
  if (w?.bids?.length > 0) {
    const head = ["Node", "Bid", "Outcome", "Why"]
    parts.push(el("h3", {}, "What each node bid"), el("table", {}, el("thead", {}, el("tr", {}, ...head.map(h => el("th", {scope: "col"}, h)))),
      el("tbody", {}, ...w.bids.map(b => el("tr", {class: b.chosen ? "chosen" : null}, ...[
        b.name || b.node_id, bid(b), b.chosen ? "got it" : b.not || "can have it",
        (b.terms ?? []).map(m => (m.cost_ns > 0 && !m.last ? time(m.cost_ns) + ": " : "") + m.why).join("; ") || "–",
      ].map((c, i) => el("td", {"data-head": head[i]}, c)))))))
  }
  parts.push(el("p", {class: "dim"}, "What was asked and answered is not shown here: ", el("code", {}, "myco task show " + t.id)))
  return parts
}

const bid = b => !(b.bid_ns > 0) ? "–" : (b.terms ?? []).some(m => m.last) ? "last" : time(b.bid_ns)

dialog.addEventListener("close", () => {
  if (wanted() !== null) history.replaceState(null, "", location.pathname)
  asked = null
  clearTimeout(timer)
})
dialog.addEventListener("click", e => e.target === dialog && dialog.close()) // beside it
addEventListener("hashchange", follow)
follow()
