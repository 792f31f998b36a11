// What the swarm answers, by its interface for programs of OpenAI's.

// Refused is an answer that did not come, and why.
export class Refused extends Error {
  constructor(status, message, code) {
    super(message)
    this.status = status
    this.code = code
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
  throw new Refused(r.status, [said?.message, said?.hint].filter(Boolean).join(": ") || `The node answers ${r.status}.`, said?.code)
}

const broke = "The connection broke off before the answer was whole."

// unless has an error of the browser's be one in these words, unless the answer was stopped.
const unless = words => e => { throw e.name === "AbortError" ? e : new Refused(0, words) }

// swarm tells which models there are, and what the nodes are called.
export async function swarm(key) {
  return (await reached("/ui/chat/swarm", {headers: headers(key)})).json()
}

// ask has a model answer a conversation, and calls told with each piece: text, thinking, note (what goes on
// meanwhile), node (who answers from here on), tokens, cut (the answer is longer than the model may write), or anew: what was told
// before is void.
export async function ask(model, messages, key, signal, told) {
  const r = await reached("/v1/chat/completions", {
    method: "POST", signal, headers: {...headers(key), "Content-Type": "application/json", "X-Myco-On-Loss": "restart"},
    body: JSON.stringify({model, messages, stream: true, stream_options: {include_usage: true}}),
  })
  told({node: r.headers.get("X-Myco-Node") ?? undefined})
  let whole = false
  for await (const line of lines(r.body)) {
    if (line.startsWith(":")) {
      const note = line.slice(1).trim(), node = note.match(/myco-[0-9a-f]{12}/g)?.at(-1)
      told(note === "node " + node ? {node} : {note, node})
    }
    if (!line.startsWith("data:")) continue
    const data = line.slice(5).trim()
    if (data === "[DONE]") {
      whole = true
      continue
    }
    const piece = JSON.parse(data)
    if (piece.error) throw new Refused(r.status, piece.error.message, piece.error.code)
    if (piece.myco_restarted) told({anew: true})
    const choice = piece.choices?.[0]
    told({text: choice?.delta?.content, thinking: choice?.delta?.reasoning, cut: choice?.finish_reason === "length", tokens: piece.usage?.completion_tokens})
  }
  if (!whole) throw new Refused(0, broke)
}

// lines yields the lines of a stream of bytes, as they come.
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  for (;;) {
    const {value, done} = await reader.read().catch(unless(broke))
    if (done) break
    const parts = (rest + value).split("\n")
    rest = parts.pop()
    yield* parts
  }
  if (rest) yield rest
}
