// Who can be asked: what the node tells of the swarm, the model that is chosen, and the key.
import {el, text} from "./dom.js"
import {swarm, Refused} from "./answer.js"
import {setting, setSetting} from "./kept.js"

const $ = id => document.getElementById(id)
const models = $("model"), state = $("state")
const withKey = [$("talk"), $("ask"), models.parentElement, $("new"), $("open")] // what there is with a key, where one is wanted

let known = {models: [], nodes: {}}
let chosen = setting("model")
let complaint = "" // what is wrong with the node

export const key = () => setting("key") ?? ""
export const model = () => models.value

// can is what the model can: sees, that it takes pictures, and searches, that it may have the web searched.
export const can = what => known.models.find(m => m.name === models.value)?.[what] === true

// named has nodes go by their names.
export const named = words => words.replace(/myco-[0-9a-f]{12}/g, id => known.nodes[id] ?? id)

// look asks for the models, and for a key where one is wanted; begun is whether there is no invitation on the page.
export async function look(begun) {
  try {
    known = await swarm(key())
  } catch (e) {
    if (e instanceof Refused && e.status === 401) return login(key() ? e.cause : "")
    return complain(e.message)
  }
  $("login").hidden = true
  $("forget").hidden = key() === ""
  for (const part of withKey) part.hidden = false
  text($("swarm"), known.name || "mycoSwarm")
  offer()
  complain(models.value !== "" ? "" : "No node has a model." + (begun ? " With Ollama on any of them: myco pull gemma3:1b" : ""))
}

// offer shows the models. The one that was chosen stays it, else the one that answers; the demo gives way to any other.
function offer() {
  const was = known.models.find(m => m.name === models.value && !m.demo)?.name
  const options = known.models.map(m => el("option", {value: m.name}, m.name + (m.demo ? " (demo)" : "")))
  if (options.length !== models.length || options.some((o, i) => !o.isEqualNode(models[i]))) models.replaceChildren(...options)
  models.value = [chosen, was, known.choice].find(name => known.models.some(m => m.name === name)) ?? ""
}

models.addEventListener("change", () => {
  chosen = models.value
  setSetting("model", chosen)
})

function login(wrong) {
  $("login").hidden = false
  for (const part of withKey) part.hidden = true
  text($("wrong"), wrong)
  $("key").focus()
}

// tell says what goes on; a screen reader hears it.
export const tell = words => text(state, words)

// complain tells what is wrong with the node, and takes it back.
function complain(words) {
  if (words || state.textContent === complaint) tell(words)
  complaint = words
}

// invitation says what can be done where nothing was said yet.
export function invitation() {
  if (known.name === undefined || known.models.some(m => !m.demo)) return ["Ask anything. Whichever machine has the model answers."]
  return [known.models.length === 0 ? "No machine of this swarm has a model yet. On" : "Only the demo model is here, which knows little more than capitals. For a real one, on",
    " any machine that has ", el("a", {href: "https://ollama.com/download", rel: "noopener noreferrer", target: "_blank"}, "Ollama"), ": ",
    el("code", {}, "myco pull gemma3:1b")]
}
