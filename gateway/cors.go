package gateway

import (
	"fmt"
	"net/http"

	"github.com/rs/cors"

	"github.com/serinhq/serin/internal/rpc"
)

// anyOrigin lets every web page use the API, with the token that it has.
const anyOrigin = "*"

// crossOrigin lets web pages of the configured origins use the API, and says so to their browsers.
func (d *rest) crossOrigin(next http.Handler) http.Handler {
	if len(d.cfg.Door.Origins) == 0 {
		return next
	}

	return cors.New(cors.Options{
		AllowedOrigins: d.cfg.Door.Origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Accept", "Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", requestIDHeader, rpc.HeaderRevision},
		ExposedHeaders: []string{requestIDHeader, "Retry-After"},
		MaxAge:         600, // seconds; Chromium's limit is 7200
	}).Handler(next)
}

// newProtection lets the configured origins pass where there are no tokens.
func newProtection(origins []string) (*http.CrossOriginProtection, error) {
	protection := http.NewCrossOriginProtection()

	for _, origin := range origins {
		if origin == anyOrigin {
			continue // there are tokens, and they decide
		}

		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("gateway: Origins: %w", err)
		}
	}

	return protection, nil
}
