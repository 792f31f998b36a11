import {el, table, age} from "./dom.js"

const open = document.getElementById("open")
const recent = document.getElementById("recent")
const queues = document.getElementById("queues")
const dead = document.getElementById("dead")
const letters = document.getElementById("letters")

export const link = id => el("a", {href: "#task/" + encodeURIComponent(id), title: id}, id.length > 10 ? id.slice(0, 8) : id)

const state = s => el("span", {class: "state " + s}, s)

// more tells how many waiting tasks, or letters, are not shown; at least so many where a node has more than it lists.
const more = (all, shown, cut) => all > shown ? [{key: "more", class: "dim", cells: [`and ${cut ? "at least " : ""}${all - shown} more`]}] : []

export function drawTasks(s) {
  const name = id => s.nodes.find(n => n.id === id)?.name ?? id ?? "–"
  table(queues, ["Lane", "Type", "Model", "Waiting", "Running"], s.queues.map(q => ({
    key: [q.lane, q.class, q.model].join(" "), cells: [q.lane, q.class, q.model || "–", q.waiting, q.running],
  })), "No queue holds anything.")

  const runs = s.tasks.map(t => ({key: t.id, cells: [
    link(t.id), state("running"), t.type || "–", t.model || "–", t.node_name || t.node_id, t.attempt,
    t.waited_ms === undefined ? "–" : age(t.waited_ms), age(t.running_ms)]}))
  const waits = s.queued.map(t => ({key: t.id, class: t.warning ? "warned" : null, cells: [
    link(t.id), state("queued"), t.type, t.model || "–", t.warning || "–", t.attempts || "–", age(t.age_ms), "–"]}))
  table(open, ["Task", "State", "Type", "Model", "Node", "Attempt", "Waited", "Runs for"], [...runs, ...waits, ...more(s.queued_count, s.queued.length, s.cut)],
    s.listed && s.running === 0 ? ["Nothing runs or waits. Ask something: ", el("code", {}, "myco ask \"What is the capital of France?\"")] : "Asking the nodes …")

  const ended = t => ({key: t.id, cells: [link(t.id), state(t.state), t.type, t.model || "–", name(t.node_id), t.attempts, age(t.age_ms) + " ago", t.code || "–"]})
  table(recent, ["Task", "State", "Type", "Model", "Node", "Attempts", "Submitted", "Error"], s.recent.map(ended),
    s.listed ? "Nothing has ended within the last day." : "Asking the nodes …")

  dead.hidden = s.dead.length === 0
  table(letters, ["Task", "State", "Type", "Model", "Node", "Attempts", "Submitted", "Error"], [...s.dead.map(ended), ...more(s.dead_count, s.dead.length, s.cut)], "")
}
