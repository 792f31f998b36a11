import {el, text} from "./dom.js"
import {render} from "./markdown.js"

// button is one that does something.
export function button(words, does, attrs = {}) {
  const b = el("button", {type: "button", ...attrs}, words)
  b.addEventListener("click", does)
  return b
}

// A turn is {role, content, pictures, documents} of the person, or {role, content, thinking, about, wrong} of a model.
export const turn = t => el("article", {class: "turn " + t.role, dir: t.role === "user" ? "auto" : null})

// showTurn puts a turn into its element, with buttons for what can be done; written is whether a model writes on. What has not
// changed stays: the focus, and what is selected. The promise that it returns is of the answer's Markdown.
export function showTurn(e, t, written, buttons) {
  if (t.role === "user") {
    e.replaceChildren(t.content, ...(t.documents ?? []).map(readable), ...(t.pictures ?? []).map(p => el("p", {class: "dim picture"}, p.small, p.name)), ...buttons)
    return
  }
  if (e.firstChild === null) e.append(el("details", {}, el("summary", {}, "Thoughts"), el("div")), el("div"), el("div"))
  const [thoughts, said, about] = e.children
  thoughts.hidden = !t.thinking
  text(thoughts.lastChild, t.thinking ?? "")
  const rendered = render(said, t.content, following)
  if (written) return rendered
  about.replaceChildren(
    ...(t.wrong ? [el("p", {class: "bad", role: "alert"}, t.wrong)] : []),
    ...(t.about ? [el("p", {class: "dim"}, t.about)] : []),
    ...(t.content && navigator.clipboard ? [button("Copy", () => navigator.clipboard.writeText(t.content))] : []),
    ...buttons)
  return rendered
}

// readable is a document whose text can be read.
function readable(d) {
  const said = el("div", {tabindex: 0}), e = el("details", {}, el("summary", {}, d.name), said) // it scrolls, by keys too
  e.addEventListener("toggle", () => text(said, d.text.replace(/^\s*<document>\n|\n<\/document>\s*$/g, "")), {once: true})
  return e
}

// following has the page stay at its end, where the person is.
export function following(change) {
  const page = document.documentElement
  const atEnd = page.scrollHeight - page.clientHeight - page.scrollTop < 80
  const made = change()
  if (atEnd) toEnd()
  return made
}

export const toEnd = () => { document.documentElement.scrollTop = document.documentElement.scrollHeight }
