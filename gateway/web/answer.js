// What the swarm answers, by its interface for programs of OpenAI's.

// Refused is an answer that did not come, and why.
export class Refused extends Error {
  constructor(status, message, code, cause) {
    super(message)
    this.status = status
    this.code = code
    this.cause = cause ?? message // without what a program can do
  }
}

// headers are those of a request with a key, where there is one.
const headers = key => key ? {Authorization: "Bearer " + key} : {}

// reached is what the node answers to a request, where it is no error.
async function reached(address, options) {
  const r = await fetch(address, options).catch(unless("The node does not answer. Does mycod run there?"))
  if (r.ok) return r
  const text = await r.text().catch(unless(broke))
  let said
  try { said = JSON.parse(text).error } catch { /* it is no JSON */ }
  throw new Refused(r.status, [said?.message, said?.hint].filter(Boolean).join(": ") || `The node answers ${r.status}.`, said?.code, said?.message)
}

const broke = "The answer broke off before it was whole."

// unless has an error of the browser's be one in these words, unless the answer was stopped.
const unless = words => e => { throw e.name === "AbortError" ? e : new Refused(0, words) }

const gone = "The node has no more of this answer: it was stopped, or is older than an hour, or the node was started anew."

// swarm tells which models there are, and what the nodes are called.
export async function swarm(key) {
  return (await reached("/ui/chat/swarm", {headers: headers(key)})).json()
}

// textOf has a node make text of a document, as a model gets to read it. Its data: address tells what the browser takes it for, where it
// does.
export async function textOf(file, data, key, signal) {
  const r = await reached("/ui/chat/document", {
    method: "POST", signal, headers: {...headers(key), "Content-Type": "application/json"},
    body: JSON.stringify({filename: file.name, file_data: file.type ? data : data.slice(data.indexOf(",") + 1)}),
  })
  return (await r.json()).text
}

// ask has a model answer a conversation, under a name of ours by which we come back where the connection breaks off: a phone sleeps, and a
// cable is pulled. It calls told with each piece: text, thinking, note (what goes on meanwhile), node (who answers from here on),
// tokens, cut (the answer is longer than the model may write), or anew: what was told before is void. One for which it may search the web
// cannot begin anew.
export function ask(model, messages, web, name, key, signal, told) {
  return follow(name, key, signal, told, signal => reached("/v1/chat/completions", {
    method: "POST", signal, headers: {...headers(key), "Content-Type": "application/json", "X-Myco-Answer": name, ...web ? {} : {"X-Myco-On-Loss": "restart"}},
    body: JSON.stringify({model, messages, stream: true, stream_options: {include_usage: true}, ...web ? {web_search_options: {}} : {}}),
  }))
}

// comeBack tells an answer that was asked for before, from its beginning.
export function comeBack(name, key, signal, told) {
  told({anew: true})
  return follow(name, key, signal, told, null)
}

// stop ends the work on an answer, though the page may be left at once. Where the node is not reached it tries again for some minutes,
// and once where the node has not heard of the answer: the question may be on its way.
export async function stop(name, key) {
  for (let tries = 0; tries < 30; tries++) {
    try {
      const r = await fetch("/v1/answers/" + name, {method: "DELETE", keepalive: true, headers: headers(key)})
      if (r.status !== 404 || tries > 0) return
    } catch { /* it is not reached */ }
    await pause(Math.min(500 * 2 ** tries, 10_000), new AbortController().signal)
  }
}

const silent = 25_000 // ms without a word, of an answer that has one every ten seconds: the connection is gone, and nobody said so

// follow tells an answer to its end. begin asks for it; null where that was done before.
async function follow(name, key, signal, told, begin) {
  let last = 0, tries = 0 // the event that we have, and how often we came in vain since
  for (;;) {
    signal.throwIfAborted() // in a pause
    const attempt = new AbortController(), leave = () => attempt.abort()
    let at = Date.now(), quiet
    const heard = () => {
      at = Date.now()
      clearTimeout(quiet)
      quiet = setTimeout(leave, silent)
    }
    const wakes = () => { if (!document.hidden && Date.now() - at > silent / 2) leave() } // the phone has slept
    signal.addEventListener("abort", leave)
    document.addEventListener("visibilitychange", wakes)
    try {
      const r = begin ? await begin(attempt.signal) :
        await reached("/v1/answers/" + name, {signal: attempt.signal, headers: {...headers(key), ...last > 0 ? {"Last-Event-ID": last} : {}}})
      begin = null
      if (r.status === 204) throw new Refused(r.status, broke)
      told({node: r.headers.get("X-Myco-Node") ?? undefined, note: tries > 0 ? "" : undefined})
      await read(r.body, heard, told, id => {
        last = id
        tries = 0
      })
      return
    } catch (e) {
      signal.throwIfAborted()
      const lost = e.name === "AbortError" || e.status === 0 || !begin && e.status >= 502 // which a proxy says
      if (begin && e.status === 409) begin = null // it was heard, though we were not told
      else if (!begin && e.status === 404) {
        if (last > 0 || tries > 2) throw new Refused(404, gone)
        // Or another tab is about to ask.
      } else if (!lost || begin && tries > 2) throw e
      if (lost) told({note: "The node is not reached. Trying again"})
      await pause(Math.min(500 * 2 ** tries++, 10_000), signal)
    } finally {
      clearTimeout(quiet)
      signal.removeEventListener("abort", leave)
      document.removeEventListener("visibilitychange", wakes)
    }
  }
}

// pause waits, or until there may be a network again.
function pause(ms, signal) {
  return new Promise(resolve => {
    const over = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", over)
      removeEventListener("online", over)
      document.removeEventListener("visibilitychange", over)
      resolve()
    }
    const timer = setTimeout(over, ms)
    signal.addEventListener("abort", over)
    addEventListener("online", over)
    document.addEventListener("visibilitychange", over)
  })
}

// read tells the events of an answer; have is told the number of each.
async function read(body, heard, told, have) {
  let whole = false, id = 0
  for await (const line of lines(body, heard)) {
    if (line.startsWith(":")) {
      const note = line.slice(1).trim(), looks = /^(searching|reading) /.test(note) // for what a model has made up
      const node = looks ? undefined : note.match(/myco-[0-9a-f]{12}/g)?.at(-1)
      told(note === "node " + node ? {node} : {note, node})
    }
    if (line.startsWith("id:")) id = Number(line.slice(3))
    if (!line.startsWith("data:")) continue
    const data = line.slice(5).trim()
    if (data === "[DONE]") {
      whole = true
      continue
    }
    const piece = JSON.parse(data)
    if (piece.error) throw new Refused(200, piece.error.message, piece.error.code)
    if (piece.myco_restarted) told({anew: true})
    const choice = piece.choices?.[0]
    told({text: choice?.delta?.content, thinking: choice?.delta?.reasoning, cut: choice?.finish_reason === "length", tokens: piece.usage?.completion_tokens})
    have(id)
  }
  if (!whole) throw new Refused(0, broke)
}

// lines yields the lines of a stream of bytes, as they come; heard is told of each part.
async function* lines(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  for (;;) {
    const {value, done} = await reader.read().catch(unless(broke))
    heard()
    if (done) break
    const parts = (rest + value).split("\n")
    rest = parts.pop()
    yield* parts
  }
}
