package gateway

import (
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5emb"
)

const docsPath = "/docs"

// docsPolicy lets the page load nothing that is not the gateway's own. It begins with a script within the page.
const docsPolicy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; " +
	"frame-ancestors 'none'"

// newDocs is Swagger UI, out of the binary.
func newDocs() http.Handler { return v5emb.New("Serin's API", "/openapi.json", docsPath+"/") }

func isDocs(path string) bool { return path == docsPath || strings.HasPrefix(path, docsPath+"/") }

// docsPage shows the API's description to people.
func (d *rest) docsPage(w http.ResponseWriter, r *http.Request) {
	switch {
	case !looksAt(w, r, docsPath):
	case r.URL.Path == docsPath:
		http.Redirect(w, r, docsPath+"/", http.StatusMovedPermanently)
	default:
		w.Header().Set("Content-Security-Policy", docsPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		d.docs.ServeHTTP(w, r)
	}
}
