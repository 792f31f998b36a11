package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// sessionLimit is how long a browser stays logged in.
	sessionLimit = 30 * 24 * time.Hour
	// maxLogin bounds what the login page sends, in bytes.
	maxLogin = 4 << 10
)

// cookie names what a browser that is logged in shows. Nodes on one machine are one site to a browser, so
// each has its own, and another one for HTTPS, which browsers do not have HTTP replace.
func (g *Gateway) cookie(r *http.Request) string {
	name := "ui-" + string(g.cfg.Swarm.Identity().NodeID)
	if r.TLS != nil {
		name += "-https"
	}
	return name
}

// session is what a browser shows instead of a key until then, in the cookie of that name. Other servers of this
// machine get it too, as browsers do not tell ports apart: it opens the dashboard alone, and the key cannot be
// had from it. It ends with the key.
func session(name string, h *holder, until time.Time) string {
	mac := hmac.New(sha256.New, h.Hash[:])
	end := strconv.FormatInt(until.Unix(), 10)
	mac.Write([]byte("mycoswarm dashboard\n" + name + "\n" + end)) // a hash never fails
	return end + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// viewer returns whose session a request shows; nil where it shows none that is good at now.
func (g *Gateway) viewer(r *http.Request, now time.Time) *holder {
	c, err := r.Cookie(g.cookie(r))
	if err != nil {
		return nil
	}
	end, _, _ := strings.Cut(c.Value, ".")
	until, err := strconv.ParseInt(end, 10, 64)
	if err != nil || now.Unix() >= until {
		return nil
	}
	good := func(h *holder) bool {
		return subtle.ConstantTimeCompare([]byte(session(c.Name, h, time.Unix(until, 0))), []byte(c.Value)) == 1
	}
	if owner := g.owner.Load(); good(owner) {
		return owner
	}
	for _, h := range g.holders() {
		if good(h) {
			return h
		}
	}
	return nil
}

// login takes a key from the login page.
func (g *Gateway) login(w http.ResponseWriter, r *http.Request) {
	guard(w)
	done, err := g.limitBody(w, r)
	if err != nil {
		g.failNative(w, r, err)
		return
	}
	defer done()
	in := r.Body.(*body)
	data, err := io.ReadAll(io.LimitReader(in, maxLogin+1))
	if err == nil && len(data) > maxLogin {
		err = bus.Errorf(bus.CodeTooLarge, "the login has more than %d bytes", maxLogin)
	}
	if err == nil {
		err = in.whole()
	}
	if err != nil {
		g.failNative(w, r, err)
		return
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		g.failNative(w, r, bus.Errorf(bus.CodeInvalid, "read the login: %w", err))
		return
	}
	h, _ := g.keyHolder(strings.TrimSpace(form.Get("key")))
	switch {
	case h == nil:
		g.loginPage(w, http.StatusUnauthorized, "That is no key of this node.")
	case !h.may(forViewer):
		g.loginPage(w, http.StatusForbidden, "That key is for programs alone: the dashboard wants one that was made with --admin.")
	default:
		name, until := g.cookie(r), time.Now().Add(sessionLimit)
		http.SetCookie(w, &http.Cookie{
			Name: name, Value: session(name, h, until), Path: dashboardPath, Expires: until, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
		})
		http.Redirect(w, r, dashboardPath, http.StatusSeeOther)
	}
}

// logout has the browser forget its session.
func (g *Gateway) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: g.cookie(r), Path: dashboardPath, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, dashboardPath, http.StatusSeeOther)
}

// loginPage asks for a key.
func (g *Gateway) loginPage(w http.ResponseWriter, status int, wrong string) {
	g.page(w, status, "login.html", map[string]any{"Wrong": wrong, "KeyFile": bus.HTTPKeyFile})
}
