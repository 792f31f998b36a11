import {el, text} from "./dom.js"
import {button} from "./turn.js"
import {conversations, remove} from "./kept.js"

const dialog = document.getElementById("talks"), list = document.getElementById("list"), clear = document.getElementById("clear")

let shown = "" // the id of the conversation on the page
let answered = new Map() // by the ids of those in which an answer is written

// showList shows the conversations that are kept: links, which the page follows by its address.
export function showList(id, written) {
  shown = id
  answered = written
  draw()
  dialog.showModal()
}

function draw() {
  const all = conversations()
  list.replaceChildren(...all.map((t, i) => {
    const name = t.title || "(no words)"
    const link = el("a", {href: "#" + t.id, dir: "auto", "aria-current": t.id === shown && "page"}, name)
    link.addEventListener("click", () => dialog.close())
    return el("li", {}, link, el("span", {class: "dim"}, answered.has(t.id) ? "answering" : when(t.at)), button("Delete", () => {
      if (!confirm(`Delete “${name}”?`)) return
      drop([t])
      const left = list.querySelectorAll("button")
      ;(left[Math.min(i, left.length - 1)] ?? dialog.querySelector("form button")).focus()
    }, {"aria-label": "Delete: " + name}))
  }))
  text(document.getElementById("none"), all.length === 0 ? "There is none yet." : "They are kept in this browser alone: the latest 100, as long as it has room.")
  clear.hidden = all.length === 0
}

function drop(those) {
  dialog.dispatchEvent(new CustomEvent("gone", {detail: those.map(t => t.id)})) // while it is known what is written in them
  those.forEach(t => remove(t.id))
  draw()
}

clear.addEventListener("click", () => {
  const all = conversations()
  if (!confirm(all.length === 1 ? "Delete the conversation?" : `Delete all ${all.length} conversations?`)) return
  drop(all)
  dialog.close()
})

// when spells a time: of today the hour, else the day.
function when(at) {
  const d = new Date(at)
  return d.toDateString() === new Date().toDateString() ? d.toLocaleTimeString([], {timeStyle: "short"}) : d.toLocaleDateString([], {dateStyle: "medium"})
}
