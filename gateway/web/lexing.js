const limit = 2000 // ms for a text. One of some thousand words takes a few.
const startLimit = 20000 // ms until the worker is there, which the node serves

// Trusted Types want to know what makes the address of a script: this alone does.
const address = globalThis.trustedTypes?.createPolicy("lexer", {createScriptURL: () => "/ui/static/lexer.js"}).createScriptURL("") ?? "/ui/static/lexer.js"

let worker = null, last = Promise.resolve()

// lexed reads Markdown in a worker, one text after the other: {tokens, links}, or null where it cannot be read or takes too long.
// It is undefined where there is no worker, or where it is not wanted any more when its turn has come.
export function lexed(text, wanted) {
  last = last.then(() => wanted() ? read(text) : undefined)
  return last
}

async function read(text) {
  if (worker === null) {
    worker = new Worker(address, {type: "module"})
    if (await told(startLimit) === undefined) return undefined
  }
  worker.postMessage(text)
  return await told(limit) ?? null
}

// told is what the worker tells next. Where it does not within ms it is ended, and that is undefined.
function told(ms) {
  return new Promise(resolve => {
    const end = () => {
      worker.terminate()
      worker = null
      resolve(undefined)
    }
    const timer = setTimeout(end, ms)
    const settle = does => e => {
      clearTimeout(timer)
      does(e)
    }
    worker.onmessage = settle(e => resolve(e.data))
    worker.onerror = worker.onmessageerror = settle(end)
  })
}
