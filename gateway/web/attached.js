// What goes along with the next question: pictures, {name, url, small}, and documents, {name, text}; of one that is not read yet
// there is {name, leave}.
import {textOf} from "./answer.js"
import {el, set} from "./dom.js"
import {shrink} from "./pictures.js"
import {key} from "./swarm.js"
import {button} from "./turn.js"

const $ = id => document.getElementById(id)
const most = 64 << 20 // bytes of a document, for a node
// What a phone offers to choose from. What a document is, its content says.
const kinds = ".pdf,.docx,.odt,.pptx,.odp,.xlsx,.ods,.epub,.html,.txt,.md,.csv,.json,text/*"

let items = []
let seen = false // pictures, by the model

export const any = () => items.length > 0

// put has what goes along be these.
export function put(those) {
  items = those
  $("send").disabled = items.some(i => i.leave)
  $("attached").hidden = items.length === 0
  $("attached").replaceChildren(...items.map(i => el("li", {"aria-busy": i.leave ? "true" : null}, i.small, i.name + (i.leave ? ", being read " : " "),
    button("Remove", () => drop(i), {"aria-label": "Remove " + i.name}))))
}

function drop(item) {
  item.leave?.abort()
  put(items.filter(i => i !== item))
}

// take takes them, for the question that goes out: the pictures and the documents of a turn.
export function take() {
  const taken = items
  put([])
  return {pictures: taken.filter(i => i.url), documents: taken.filter(i => i.text)}
}

// offer offers pictures to a model that sees.
export function offer(sees) {
  seen = sees
  set($("files"), {accept: kinds + (sees ? ",image/*" : "")})
  if (!sees && items.some(i => i.url)) put(items.filter(i => !i.url))
}

// add reads files, and returns what is wrong with them.
export async function add(files) {
  const wrong = []
  for (const file of files) {
    const item = {name: file.name, leave: new AbortController()}
    put([...items, item])
    try {
      const made = file.type.startsWith("image/") ? await picture(file) : {text: await textOf(file, await data(file), key(), item.leave.signal)}
      delete item.leave
      put(items.map(i => i === item ? {name: item.name, ...made} : i))
    } catch (err) {
      drop(item)
      if (err.name !== "AbortError") wrong.push(`${file.name}: ${err.message}`)
    }
  }
  return wrong.join("; ")
}

function picture(file) {
  if (!seen) throw new Error("this model sees no pictures: choose another one above")
  return shrink(file)
}

// data is a file as a data: address, in base64.
function data(file) {
  if (file.size === 0) throw new Error("it is empty")
  if (file.size > most) throw new Error("it has more than 64 MiB")
  return new Promise((resolve, reject) => {
    const r = new FileReader()
    r.onload = () => resolve(r.result)
    r.onerror = () => reject(new Error("this browser cannot read it"))
    r.readAsDataURL(file)
  })
}
