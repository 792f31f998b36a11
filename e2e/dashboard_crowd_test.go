//go:build e2e && linux

package e2e_test

import "testing"

// crowdJS draws swarms of many nodes, and tells what covers what on the map: circles, and names, of which it tries points.
const crowdJS = `(async () => {
  const {draw} = await import("/ui/static/topology.js")
  const wrong = []
  for (const count of [13, 20, 32]) {
    const ids = Array.from({length: count}, (_, i) => "myco-" + String(i).padStart(12, "0"))
    const node = (id, i) => ({id, name: i % 2 ? "node-" + i : "living-room-computer-" + i, state: i === 3 ? "lost" : "ready", live: i !== 3, here: i === 0,
      slots: 4, busy: i % 5, queue_host: i === 1, tokens_per_second: 12.5, rtt_ms: 3 * i, sees: i === 5 ? ids.slice(1) : ids})
    draw({self: ids[0], nodes: ids.map(node)})
    const circles = [...document.querySelectorAll("#map .dot > circle")].map(c => [c.getBoundingClientRect(), c.getScreenCTM()])
    const names = [...document.querySelectorAll("#map .name")]
    const corners = e => [0, 0.25, 0.5, 0.75, 1].flatMap(x => [0.25, 0.5, 0.75].map(y => {
      const b = e.getBBox()
      return new DOMPoint(b.x + x * b.width, b.y + y * b.height).matrixTransform(e.getScreenCTM())
    }))
    const covers = (e, p) => {
      const b = e.getBBox(), q = p.matrixTransform(e.getScreenCTM().inverse())
      return q.x > b.x && q.x < b.x + b.width && q.y > b.y + 0.25 * b.height && q.y < b.y + 0.75 * b.height
    }
    const map = document.getElementById("map").getBoundingClientRect()
    circles.forEach(([a, at], i) => circles.slice(i + 1).forEach(([b, bt]) => {
      if (Math.hypot(at.e - bt.e, at.f - bt.f) < (a.width + b.width) / 2) wrong.push(count + " nodes: circle " + i + " covers another")
    }))
    names.forEach((a, i) => {
      const points = corners(a)
      if (points.some(p => p.x < map.left || p.x > map.right || p.y < map.top || p.y > map.bottom)) wrong.push(count + " nodes: " + a.textContent + " leaves the map")
      names.forEach((b, k) => { if (i !== k && points.some(p => covers(b, p))) wrong.push(count + " nodes: " + a.textContent + " covers " + b.textContent) })
    })
    const lines = document.querySelectorAll("#map .links line").length, halves = document.querySelectorAll("#map .links .half").length
    if (lines !== 1 || halves !== 1) wrong.push(count + " nodes: " + lines + " lines, want the one between those that do not both hear each other")
  }
  return wrong.slice(0, 20).join("\n")
})()`

// crowd draws swarms of many nodes in place of the one of the page, until the next news.
func crowd(t *testing.T, x *webPage) {
	t.Helper()
	if wrong := eval[string](x, crowdJS); wrong != "" {
		t.Errorf("the map of many nodes:\n%s", wrong)
	}
}
