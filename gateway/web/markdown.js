import {el, set} from "./dom.js"
import {lexed} from "./lexing.js"

// render makes elements of Markdown, in e, as soon as it is read; change is called with what then changes the page. What a
// model says is words alone: its HTML is shown as it stands, nothing is loaded, and links lead where they say. Blocks that are the
// same as before stay: what is selected there, too. A text that takes too long to read is shown as it stands, with what follows.
export async function render(e, text, change) {
  if (!rendered.has(e)) rendered.set(e, {wanted: "", shown: "", raw: [], links: "{}", busy: false})
  const r = rendered.get(e)
  r.wanted = text
  if (r.busy) return
  r.busy = true
  while (r.shown !== r.wanted) {
    const now = r.wanted
    const plainly = now.length > most || slow.some(s => now.startsWith(s))
    const stand = () => change(() => {
      fill(e, r, {tokens: [{type: "html", raw: now}], links: "{}"})
      r.raw = [] // none of them is made of Markdown
    })
    const meanwhile = r.shown === "" && !plainly ? setTimeout(stand, 200) : 0 // another text may take long
    const read = plainly ? undefined : await lexed(now, () => e.isConnected)
    clearTimeout(meanwhile)
    if (!e.isConnected) return
    if (read === null) slow.push(now)
    if (read) change(() => fill(e, r, read))
    else stand()
    r.shown = now
  }
  r.busy = false
}

const most = 100_000 // characters: of more, browsers may not be able to make as many elements at once
const slow = [] // texts that could not be read, or not in time

// rendered is what is rendered in an element: the text that is wanted and the one that is shown, its blocks and the links that
// they refer to.
const rendered = new WeakMap()

function fill(e, r, {tokens, links}) {
  tokens = tokens.filter(t => t.type !== "space" && t.type !== "def") // each other is one element
  const raw = tokens.map(t => t.raw)
  let same = raw.findIndex((s, i) => s !== r.raw[i])
  if (same < 0) same = raw.length
  if (links !== r.links) same = 0
  while (e.childNodes.length > same) e.lastChild.remove()
  const parts = blocks(tokens.slice(same))
  for (const p of parts) if (p.localName !== "pre") set(p, {dir: "auto"}) // as its language is written; code is from left to right
  e.append(...parts)
  Object.assign(r, {raw, links})
}

let deep = 0 // so many things are within each other

// within makes elements of tokens. Browsers break down where thousands are within each other.
function within(make, tokens) {
  if (deep > 50) return [tokens.map(t => t.raw).join("")]
  deep++
  const parts = tokens.map(make).filter(e => e !== null)
  deep--
  return parts
}

const blocks = tokens => within(block, tokens)
const inline = tokens => within(span, tokens)

function block(t) {
  switch (t.type) {
    case "space": case "def": return null
    case "hr": return el("hr")
    case "heading": return el("h" + t.depth, {}, ...inline(t.tokens))
    case "paragraph": return el("p", {}, ...inline(t.tokens))
    case "code": return el("pre", {tabindex: "0"}, el("code", {}, t.text))
    case "blockquote": return el("blockquote", {}, ...blocks(t.tokens))
    case "list": return el(t.ordered ? "ol" : "ul", {start: t.ordered && t.start !== 1 ? t.start : null}, ...t.items.map(item))
    case "table": return el("table", {},
      el("thead", {}, el("tr", {}, ...t.header.map(c => el("th", {scope: "col", align: c.align}, ...inline(c.tokens))))),
      el("tbody", {}, ...t.rows.map(row => el("tr", {}, ...row.map(c => el("td", {align: c.align}, ...inline(c.tokens)))))))
    case "text": return t.tokens ? el("p", {}, ...inline(t.tokens)) : el("p", {}, t.text)
  }
  return el("p", {class: "raw"}, t.raw.trim())
}

// item is one of a list. The text of a tight list is in no paragraph.
function item(t) {
  const parts = t.tokens.flatMap(x => {
    if (x.type === "checkbox") return [span(x)]
    return x.type === "text" && !t.loose ? (x.tokens ? inline(x.tokens) : [x.text]) : blocks([x])
  })
  return el("li", {class: t.task ? "task" : null}, ...parts)
}

function span(t) {
  switch (t.type) {
    case "strong": return el("strong", {}, ...inline(t.tokens))
    case "em": return el("em", {}, ...inline(t.tokens))
    case "del": return el("del", {}, ...inline(t.tokens))
    case "codespan": return el("code", {}, t.text)
    case "br": return el("br")
    case "checkbox": return t.checked ? "☑ " : "☐ "
    case "link": case "image": {
      const words = t.type === "link" ? inline(t.tokens) : [t.text || "picture"]
      const to = plain(t.href)
      return /^(https?|mailto):/i.test(to) ? el("a", {href: to, title: t.title, rel: "noopener noreferrer", target: "_blank"}, ...words) : el("span", {title: to}, ...words)
    }
    case "text": return t.tokens ? el("span", {}, ...inline(t.tokens)) : plain(t.text)
    case "escape": return t.text
    case "html": return /^<br\s*\/?>$/i.test(t.raw) ? el("br") : t.raw // in a table there is no other way to write one
  }
  return t.raw
}

// entities are those that models use; marked has read those that are numbers.
const entities = new Map(Object.entries({
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", "#39": "'", nbsp: "\u00a0", copy: "©", reg: "®", trade: "™", deg: "°", euro: "€",
  hellip: "…", mdash: "—", ndash: "–", middot: "·", bull: "•", times: "×", larr: "←", rarr: "→", ne: "≠", le: "≤", ge: "≥",
}))

const plain = s => s.replace(/&(#?\w+);/g, (raw, name) => entities.get(name) ?? raw)
