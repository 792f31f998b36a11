// A Worker, which reads Markdown beside the page: marked takes half a minute for 40 KB that are made for it.
import {lexer} from "./vendor/marked.esm.js"

addEventListener("message", e => {
  try {
    const tokens = lexer(e.data, {gfm: true, breaks: true})
    postMessage({tokens: [...tokens], links: JSON.stringify(tokens.links)})
  } catch { // thousands of things within each other
    postMessage(null)
  }
})
postMessage(null) // it is ready
