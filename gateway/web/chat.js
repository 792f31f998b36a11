import {el, set, text} from "./dom.js"
import {ask, comeBack, stop} from "./answer.js"
import * as attached from "./attached.js"
import * as browser from "./kept.js"
import {can, invitation, key, look, model, named, tell} from "./swarm.js"
import {showList} from "./talks.js"
import {button, following, showTurn, toEnd, turn} from "./turn.js"

const $ = id => document.getElementById(id)
const talk = $("talk"), question = $("question")

let talked = browser.fresh() // the conversation on the page
const written = new Map() // by the id of their conversation, the answers that are written: {conversation, leave, state}

const phone = matchMedia("(pointer: coarse)")

// know looks who can be asked.
async function know() {
  await look(talked.turns.length > 0)
  offerAll()
  if (talked.turns.length === 0) draw()
}

// offerAll offers what the model can.
function offerAll() {
  attached.offer(can("sees"))
  $("web").hidden = !can("searches")
}

// searches is whether the web is to be searched for the answer.
const searches = () => can("searches") && browser.setting("web") === true

function showSearches() {
  set($("web"), {"aria-pressed": browser.setting("web") === true})
}

// draw shows the whole conversation.
function draw() {
  if (talked.turns.length === 0) {
    const e = el("p", {class: "empty"}, ...invitation())
    if (!talk.firstChild?.isEqualNode(e)) talk.replaceChildren(e)
    return
  }
  talk.replaceChildren(...talked.turns.map(turn))
  talked.turns.forEach((t, i) => show(talk.children[i], t))
  if (talked.from > 0) talk.children[talked.from]?.before(el("p", {class: "line dim"}, "What is above is no longer sent."))
}

// show puts a turn into its element; the promise is of its Markdown.
function show(e, t) {
  const last = t === talked.turns.at(-1), more = last && written.has(talked.id)
  set(e, {"aria-busy": more ? "true" : null}) // a screen reader waits for its end
  return showTurn(e, t, more, last && !more ? offers(t) : [])
}

// offers are what can be done about the last turn.
function offers(t) {
  const shorter = t.long && half() > talked.from ? [button("Ask without the older half", () => { talked.from = half(); again() })] : []
  return [...shorter, ...t.long ? [button("Change the question", change)] : [], button("Again", again)]
}

const tooLong = (model, older, why) => `${older ? "The conversation" : "The question"} is longer than ${model} can read at once. ` +
  (older ? "Ask without its older half, begin a new chat" : "Change the question to a shorter one") + `, or choose another model above and ask again. (${why})`

// half is where the newer half begins of what is sent.
function half() {
  const asked = talked.turns.map((t, i) => t.role === "user" && i >= talked.from ? i : -1).filter(i => i >= 0)
  return asked[Math.ceil(asked.length / 2)] ?? talked.from
}

// sent are the turns as the interface wants them: documents stand before what is asked of them. Of pictures that are not kept, or that
// the model does not see, it has the names.
const sent = () => talked.turns.slice(talked.from).filter(t => t.role === "user" || t.content).map(t => {
  const shown = (t.pictures ?? []).filter(p => p.url && can("sees")), others = (t.pictures ?? []).filter(p => !shown.includes(p))
  const words = [...(t.documents ?? []).map(d => d.text), t.content, ...others.map(p => `(picture ${p.name})`)].filter(Boolean).join("\n")
  return {role: t.role, content: shown.length === 0 ? words : [{type: "text", text: words}, ...shown.map(p => ({type: "image_url", image_url: {url: p.url}}))]}
})

// answer has the model answer what was said so far. What another tab has made of the conversation meanwhile makes this a copy.
function answer() {
  const messages = sent(), asked = model(), web = searches()
  const t = {role: "assistant", content: "", thinking: "", model: asked, name: browser.random() + browser.random(), open: true}
  talked.turns.push(t)
  keep(talked)
  write(talked, (signal, told) => ask(asked, messages, web, t.name, key(), signal, told), messages.length > 1, true)
}

// write shows an answer, the last turn of c, as it comes by asks; older tells whether there is more than the question, and whole whether
// it is asked for just now, and not come back to.
async function write(c, asks, older, whole) {
  const t = c.turns.at(-1), leave = new AbortController(), mine = {conversation: c, leave, state: "asking"}
  written.set(c.id, mine)
  if (c === talked) {
    following(draw)
    busy()
  }
  const says = words => {
    mine.state = words
    if (c === talked) tell(words)
  }
  const shown = () => c === talked && written.get(c.id) === mine
  const began = performance.now()
  const lost = []
  let node = "", tokens = 0, first = 0, drawn = false, took = 0, away = false
  const told = p => {
    if (p.node) node = p.node
    if (p.note !== undefined) says(named(p.note))
    if (p.note && p.node && t.content) lost.push(named(p.note))
    if (p.tokens) tokens = p.tokens
    if (p.cut) {
      t.wrong = "The answer was cut off: it is as long as it may be, or the model's context is full." + (older ? " Ask it to go on, or ask without the older half." : " Ask it to go on.")
      t.long = true
    }
    if (p.anew) {
      t.content = t.thinking = ""
      first = 0
    }
    if (!p.text && !p.thinking) return
    if (first === 0) first = performance.now()
    t.content += p.text ?? ""
    t.thinking += p.thinking ?? ""
    says(t.content ? "answering" : "thinking")
    if (drawn) return
    drawn = true // not more often than a screen shows, and of a long answer so that there is time for others
    setTimeout(() => requestAnimationFrame(async () => {
      const began = performance.now()
      if (shown()) await following(() => show(talk.lastElementChild, t))
      took = performance.now() - began
      drawn = false
    }), 3 * took)
  }
  says("asking")
  delete t.wrong
  try {
    await asks(leave.signal, told)
    if (!t.content && !t.wrong) t.wrong = "The model said nothing."
  } catch (err) {
    t.wrong = err.name === "AbortError" || err.code === "cancelled" ? "Stopped." : named(err.message)
    away = err.status === 401 && !whole // with a key it may be come back to: it stays as it is kept, or tabs would call each other for ever
    t.long = err.code === "context_length_exceeded"
    if (t.long) t.wrong = tooLong(t.model, older, t.wrong)
    if (err.name !== "AbortError") know() // the model may be gone, or the key
  }
  const ended = performance.now()
  t.about = [...lost, named(node), t.model, whole && tokens > 1 && ended - first > 50 && `${(1000 * (tokens - 1) / (ended - first)).toFixed(0)} tokens/s`,
    whole && first > 0 && `first word after ${((first - began) / 1000).toFixed(first - began < 1000 ? 2 : 1)} s`].filter(Boolean).join(" · ")
  written.delete(c.id)
  if (!away) {
    delete t.open
    settle(c, t.name)
  }
  if (c !== talked) return
  tell("")
  busy()
  following(() => show(talk.lastElementChild, t))
}

// settle keeps a conversation whose answer has come to its end, unless another tab has done so, and maybe asked on.
function settle(c, name) {
  const now = browser.kept(c.id)
  if (now === null || now.version === c.version || !now.turns.some(t => t.name === name && !t.open)) keep(c)
  else if (browser.sameAnswer(c, now)) c.version = now.version
  else if (c === talked) goTo(now)
}

// goOn comes back to the answer with which a conversation ends, where that is written: the page was loaded anew, or another
// tab has asked.
function goOn(c) {
  const t = c.turns.at(-1)
  if (!t?.open || written.has(c.id)) return
  write(c, (signal, told) => comeBack(t.name, key(), signal, told), c.turns.length > 2, false)
}

// end stops the answer that is written in a conversation, whether this tab follows it or not.
function end(id) {
  const t = conversation(id).turns.at(-1)
  if (t?.open) stop(t.name, key())
  written.get(id)?.leave.abort()
}

// busy has the page be as the conversation on it is: an answer is written in it, or not.
function busy() {
  const yes = written.has(talked.id), held = document.activeElement === $("stop")
  $("stop").hidden = !yes
  $("send").hidden = yes
  $("model").disabled = yes
  if (held) typeOn()
}

// typeOn has a person type on. A phone would cover half the page with its keys.
function typeOn() {
  if (!phone.matches) question.focus()
}

// keep has the browser keep a conversation, and the address lead to it.
function keep(c) {
  const told = browser.keep(c)
  if (c !== talked) return
  text($("stays"), told || "The conversation stays in this browser.")
  lead()
}

// lead has the address lead to the conversation, as soon as it is kept. Its words are not in the address, nor in the page's title:
// browsers keep those, and may send them elsewhere.
function lead() {
  const id = talked.version === null ? "" : talked.id
  history.replaceState(null, "", id ? "#" + id : location.pathname)
  browser.setHere(id)
}

// goTo leads to a conversation. An answer that is written in the one before is written on, unless nobody can come back to that.
function goTo(c) {
  showTalk(c)
  goOn(c)
}

function showTalk(c) {
  if (talked !== c && talked.version === null) end(talked.id)
  talked = c
  text($("stays"), "The conversation stays in this browser.")
  lead()
  draw()
  tell(written.get(c.id)?.state ?? "")
  busy()
  toEnd()
}

// conversation is the one of an id: as it is written here, or as it is kept.
const conversation = id => written.get(id)?.conversation ?? browser.kept(id) ?? browser.fresh()

// begin begins a new conversation.
function begin() {
  if (talked.version !== null) history.pushState(null, "", location.pathname) // "back" leads to the old one
  goTo(browser.fresh())
  question.focus()
  know()
}

function say() {
  const words = question.value.trim()
  if (written.has(talked.id) || $("send").disabled || words === "" && !attached.any()) return
  if (model() === "") return know()
  talked.turns.push({role: "user", content: words, ...attached.take()})
  question.value = ""
  grow()
  answer()
  typeOn()
  toEnd()
}

// attach has files go along with the next question.
async function attach(files) {
  tell("reading")
  tell(await attached.add(files) || written.get(talked.id)?.state || "")
}

// again asks the last question once more.
function again() {
  if (written.has(talked.id)) return
  if (model() === "") return know()
  while (talked.turns.at(-1)?.role === "assistant") talked.turns.pop()
  if (talked.turns.length === 0) return draw()
  answer()
  $("stop").focus() // where it was is gone
}

// change takes the last question back, to be asked in other words.
function change() {
  let t
  do t = talked.turns.pop(); while (t.role === "assistant")
  question.value = t.content
  attached.put([...(t.pictures ?? []).filter(p => p.url), ...t.documents ?? []])
  keep(talked)
  draw()
  grow()
  question.focus()
}

// grow has the question be as high as its text.
function grow() {
  question.style.height = "auto"
  question.style.height = question.scrollHeight + 2 + "px"
}

$("ask").addEventListener("submit", e => { e.preventDefault(); say() })
$("stop").addEventListener("click", () => end(talked.id))
$("new").addEventListener("click", begin)
$("open").addEventListener("click", () => showList(talked.id, written))
$("talks").addEventListener("gone", e => {
  e.detail.forEach(end)
  if (e.detail.includes(talked.id)) goTo(browser.fresh())
})
$("forget").addEventListener("click", () => { browser.setSetting("key", ""); know() })
$("login").addEventListener("submit", e => {
  e.preventDefault()
  browser.setSetting("key", $("key").value.replace(/[^!-~]/g, "")) // nothing else is in a key, or in a header
  $("key").value = ""
  know().then(() => goOn(talked))
})
$("files").addEventListener("change", e => {
  const files = [...e.target.files]
  e.target.value = ""
  attach(files)
})
question.addEventListener("paste", e => {
  if (e.clipboardData.files.length === 0 || e.clipboardData.types.includes("text/plain")) return // an office puts a picture of its text beside that
  e.preventDefault()
  attach(e.clipboardData.files)
})
const carries = e => e.dataTransfer?.types.includes("Files")
addEventListener("dragover", e => { if (carries(e)) e.preventDefault() })
addEventListener("drop", e => {
  if (!carries(e)) return
  e.preventDefault() // or the browser would leave the page for the file
  if (!$("ask").hidden) attach(e.dataTransfer.files)
})
$("model").addEventListener("change", offerAll)
$("web").addEventListener("click", () => {
  browser.setSetting("web", browser.setting("web") !== true)
  showSearches()
})
question.addEventListener("input", grow)
question.addEventListener("keydown", e => {
  if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229 || phone.matches) return // 229: what ends composing, in Safari
  e.preventDefault()
  say()
})

// Nobody can come back to what is not kept.
addEventListener("pagehide", () => [...written.values()].filter(w => w.conversation.version === null).forEach(w => end(w.conversation.id)))

// Meanwhile a model may have been pulled, or the daemon started.
addEventListener("focus", know)

addEventListener("hashchange", () => {
  const id = location.hash.slice(1)
  if (id === (talked.version === null ? "" : talked.id)) return
  goTo(conversation(id))
  typeOn()
})

// What another tab has made of the conversation is shown, unless an answer is written in it here.
browser.watch(id => {
  if (id !== null && id !== talked.id) return
  const now = browser.kept(talked.id)
  if (now === null && talked.version !== null) text($("stays"), browser.deleted)
  if (now === null || now.version === talked.version || written.has(talked.id)) return
  if (browser.sameAnswer(talked, now) && !talked.turns.at(-1).wrong) talked.version = now.version // with its pictures, which are not kept
  else goTo(now)
})

showSearches()
showTalk(conversation(browser.here()))
know().then(() => goOn(talked)) // with a key where one is wanted, and with the names of the nodes
