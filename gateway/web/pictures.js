// The pictures of the next question: {name, url, small}.
import {el} from "./dom.js"
import {button} from "./turn.js"

const $ = id => document.getElementById(id)

let pictures = []

export const any = () => pictures.length > 0

// take takes them, for the question that goes out.
export function take() {
  const taken = pictures
  put([])
  return taken
}

export function put(those) {
  pictures = those
  $("pictures").hidden = pictures.length === 0
  $("pictures").replaceChildren(...pictures.map(p => el("li", {}, p.small, p.name + " ", button("Remove", () => put(pictures.filter(x => x !== p)), {"aria-label": "Remove " + p.name}))))
}

// offer offers pictures to a model that sees.
export function offer(sees) {
  $("attach").hidden = !sees
  if (!sees && any()) put([])
}

// read reads files, and returns what is wrong with them.
export async function read(files) {
  const wrong = []
  for (const file of files) {
    try {
      const p = {name: file.name, ...await shrink(file)}
      put([...pictures, p])
    } catch (err) {
      wrong.push(`${file.name}: ${err.message}`)
    }
  }
  return wrong.join("; ")
}

const most = 1568 // pixels: models see no more
const small = 160 // pixels, on the page

// shrink makes a JPEG of a picture, upright and no larger than models see: {url, small}, a data: address and a canvas for the page.
async function shrink(file) {
  let picture
  try {
    picture = await createImageBitmap(file, {imageOrientation: "from-image"})
  } catch {
    throw new Error("this browser cannot read it as a picture")
  }
  const shrunk = {url: drawn(picture, most).toDataURL("image/jpeg", 0.9), small: drawn(picture, small)}
  picture.close()
  return shrunk
}

// drawn is a canvas with a picture, of so many pixels at most.
function drawn(picture, pixels) {
  const part = Math.min(1, pixels / Math.max(picture.width, picture.height))
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(picture.width * part))
  canvas.height = Math.max(1, Math.round(picture.height * part))
  const to = canvas.getContext("2d")
  to.fillStyle = "#fff" // for what is transparent
  to.fillRect(0, 0, canvas.width, canvas.height)
  to.imageSmoothingQuality = "high"
  to.drawImage(picture, 0, 0, canvas.width, canvas.height)
  return canvas
}
