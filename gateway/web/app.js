import {el, set, text, keyed, rate, age} from "./dom.js"
import {draw} from "./topology.js"
import {drawNodes} from "./nodes.js"
import {begin, drawSpeed} from "./speed.js"
import {drawTasks} from "./tasks.js"
import {know} from "./panel.js"

const main = document.querySelector("main")
const link = document.getElementById("link")
const notes = document.getElementById("notes")

const since = Date.now()
let source = null, heard = 0

// connect has the node tell what the swarm does. The browser connects again by itself where a connection ends;
// where it gives up, or a login is wanted, this does.
function connect() {
  source = new EventSource("/ui/events")
  source.addEventListener("past", e => begin(JSON.parse(e.data)))
  source.addEventListener("swarm", e => {
    heard = Date.now()
    show(JSON.parse(e.data))
    tick()
  })
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(again, 1000)
  })
}

async function again() {
  try {
    const r = await fetch("/ui/", {method: "HEAD", headers: {Accept: "text/html"}})
    if (r.status === 401) location.reload() // which shows the login
    else connect()
  } catch {
    setTimeout(again, 1000)
  }
}

// tick tells how the connection is. News come each second.
function tick() {
  const silent = Date.now() - (heard || since)
  const state = heard > 0 && silent < 4000 ? "live" : heard === 0 && silent < 4000 ? "wait" : "away"
  set(link, {"data-state": state})
  text(link, {live: "live", wait: "connecting", away: "no news from this node for " + age(silent) + ", trying again"}[state])
  document.body.classList.toggle("stale", state === "away")
  if (state === "away") document.title = "no connection: " + document.getElementById("swarm").textContent
}

function show(s) {
  main.hidden = false
  for (const n of s.nodes) {
    n.live = n.state !== "lost" && n.state !== "incompatible"
    n.here = n.id === s.self
  }
  const ready = s.nodes.filter(n => n.state === "ready").length
  const name = s.swarm.name || "mycoSwarm"
  text(document.getElementById("swarm"), name)
  document.title = `${name}: ${ready} of ${s.nodes.length} ready`
  keyed(document.getElementById("figures"), [
    ["nodes ready", `${ready}/${s.nodes.length}`], ["running", s.running], ["waiting", s.waiting], ["tokens/s", rate(s.tokens_per_second)],
  ], f => f[0], f => el("div", {}, el("dt", {}, f[0]), el("dd")), (e, f) => text(e.lastChild, f[1]))
  draw(s)
  drawNodes(s)
  drawSpeed(s)
  drawTasks(s)
  know(s)
  tell(s)
  const here = s.nodes.find(n => n.here)
  text(document.getElementById("foot"), `As ${here?.name ?? s.self} sees it, mycod ${s.version}. In a terminal: myco top`)
}

// tell says what a person should know or do; a screen reader hears it.
function tell(s) {
  const out = []
  const host = s.nodes.find(n => n.queue_host && n.live)
  if (!host) out.push({key: "host", words: ["No node holds the queue at present: tasks wait until one does."]})
  if (s.nodes.length === 1) {
    out.push({key: "alone", words: ["This swarm is one node so far. To let another machine in, run ", el("code", {}, "myco invite"), " here, and there ",
      el("code", {}, "mycod --join TOKEN"), "."]})
  }
  if (s.nodes.every(n => !n.live || n.models.every(m => m.demo))) {
    out.push({key: "models", words: ["No node has a model", s.nodes.some(n => n.models.length > 0) ? " but the demo" : "", ". With Ollama on any of them: ",
      el("code", {}, "myco pull gemma3:1b"), "."]})
  }
  const lost = s.nodes.filter(n => n.state === "lost")
  if (lost.length > 0) out.push({key: "lost " + lost.map(n => n.id), kind: "bad", words: [lost.map(n => n.name).join(", ") + (lost.length === 1 ? " is lost." : " are lost."),
    " What ran there runs again elsewhere. Out for good: ", el("code", {}, "myco revoke NODE"), "."]})
  keyed(notes, out, n => n.key, n => el("p", {class: "note " + (n.kind ?? "")}, ...n.words), () => {})
}

connect()
setInterval(tick, 1000)
