// What this browser keeps: conversations, the model that was chosen, and the key. What it does not keep ends with the page.

const most = 100 // conversations; the oldest give way
const longest = 1_000_000 // characters of a conversation, of some five million that browsers keep for a page
const mark = "chat talk " // the name of a conversation has its id behind it

const unkept = {} // settings

// setting is what was chosen, or null.
export function setting(name) {
  try {
    return unkept[name] ?? JSON.parse(localStorage.getItem("chat " + name))
  } catch {
    return null
  }
}

export function setSetting(name, v) {
  try {
    localStorage.setItem("chat " + name, JSON.stringify(v))
    delete unkept[name]
  } catch {
    unkept[name] = v
  }
}

// A conversation is {id, version, turns, from}: the turns before from are no longer sent. Its version, which is null as long as it
// is not kept, is another one each time: by that a tab sees that another one has gone on with it.

// random makes up a name that nobody else has.
export const random = () => [...crypto.getRandomValues(new Uint8Array(8))].map(b => b.toString(16).padStart(2, "0")).join("")

export const fresh = () => ({id: random(), version: null, turns: [], from: 0})

// It is kept as a line of what the list wants, and one of turns, which may be long.
function head(id) {
  const v = localStorage.getItem(mark + id)
  return v === null ? null : {...JSON.parse(v.slice(0, v.indexOf("\n"))), id}
}

// conversations are those that are kept: {id, version, title, at}, the latest first.
export function conversations() {
  try {
    const ids = Object.keys(localStorage).filter(k => k.startsWith(mark)).map(k => k.slice(mark.length))
    return ids.map(head).sort((a, b) => b.at - a.at)
  } catch {
    return []
  }
}

// kept is the conversation as it is kept, or null.
export function kept(id) {
  try {
    const v = localStorage.getItem(mark + id)
    return v === null ? null : {id, version: head(id).version, ...JSON.parse(v.slice(v.indexOf("\n")))}
  } catch {
    return null
  }
}

export const deleted = "This conversation was deleted: it ends with this page."

// keep keeps a conversation, without pictures: there is little room. What another tab has made of it meanwhile stays: then this
// is a copy, with an id of its own. What somebody has deleted is not kept again. It returns what a person should know.
export function keep(c) {
  let told = ""
  try {
    const now = head(c.id)
    if (c.version !== null && now === null) return deleted
    if (c.version !== now?.version && now !== null) {
      c.id = random()
      c.copy = true
    }
    if (c.copy) told = "Another tab went on with this conversation: this is a copy, and stays in this browser."
    if (c.turns.length === 0) {
      remove(c.id)
      c.version = null
      return told
    }
    const version = random()
    const turns = c.turns.map(t => ({...t, pictures: t.pictures?.map(p => ({name: p.name}))}))
    const v = JSON.stringify({version, title: title(c), at: Date.now()}) + "\n" + JSON.stringify({turns, from: c.from})
    if (v.length > longest) return "This conversation is too long to be kept: what is new ends with this page."
    put(mark + c.id, v)
    c.version = version
  } catch {
    return "This browser has no room for the conversation: it ends with this page."
  }
  return told
}

// sameAnswer is whether two of a conversation end with one answer, of which both have the end.
export function sameAnswer(one, other) {
  const mine = one.turns.at(-1), its = other?.turns.at(-1)
  return mine?.name !== undefined && mine.name === its?.name && !mine.open && !its.open
}

// put keeps an item; older conversations give way to it.
function put(name, v) {
  for (;;) {
    const older = conversations().filter(t => mark + t.id !== name)
    try {
      localStorage.setItem(name, v)
      older.slice(most - 1).forEach(t => remove(t.id))
      return
    } catch (e) {
      if (e.name !== "QuotaExceededError" || older.length === 0) throw e
      remove(older.at(-1).id)
    }
  }
}

export const remove = id => localStorage.removeItem(mark + id)

// title is what a conversation is called: by its first question.
function title(c) {
  const t = c.turns[0]
  return (t?.content || t?.documents?.[0]?.name || t?.pictures?.[0]?.name || "").replace(/\s+/g, " ").trim().slice(0, 100)
}

// watch tells the id of a conversation that another tab has changed or deleted, or null where that may be any.
export function watch(changed) {
  addEventListener("storage", e => {
    if (e.key === null) changed(null)
    else if (e.key.startsWith(mark)) changed(e.key.slice(mark.length))
  })
}

// The tab's own conversation: the one of its address, else the one that it last had, else the latest. Empty is a new one.
export function here() {
  try {
    return location.hash.slice(1) || (sessionStorage.getItem("chat talk") ?? conversations()[0]?.id ?? "")
  } catch {
    return location.hash.slice(1)
  }
}

export function setHere(id) {
  try {
    sessionStorage.setItem("chat talk", id)
  } catch { /* the address has it */ }
}
