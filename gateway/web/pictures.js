// Pictures, as models see them.

const most = 1568 // pixels: models see no more
const small = 160 // pixels, on the page

// shrink makes a JPEG of a picture, upright and no larger than models see: {url, small}, a data: address and a canvas for the page.
export async function shrink(file) {
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
