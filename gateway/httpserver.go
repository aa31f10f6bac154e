package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// HTTPServer returns a server for [Service.Handler] with limits for clients from outside. It limits neither the time of
// reading nor of writing as a whole, for streams last; the handler sets deadlines of its own.
func (s *Service) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}
