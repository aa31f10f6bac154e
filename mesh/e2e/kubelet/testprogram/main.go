// Command testprogram is the image of the kubelet's tests: a server that does as it is told.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "address to serve on")
	write := flag.String("write", "", "write this file, with the time, and end")
	code := flag.Int("code", 0, "exit code")
	linger := flag.Duration("linger", 0, "how long to go on after SIGTERM")
	serve := flag.Bool("serve", false, "serve until SIGTERM")
	flag.Parse()

	fmt.Printf("arguments %q\n", os.Args[1:])

	if *write != "" {
		if err := os.WriteFile(*write, []byte(time.Now().Format(time.RFC3339Nano)), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}

	if *serve {
		if err := run(*listen, *linger); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}

	os.Exit(*code)
}

// run serves until SIGTERM, and says so.
func run(listen string, linger time.Duration) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}

	server := &http.Server{Handler: routes(), ReadHeaderTimeout: time.Second}

	go func() {
		<-ctx.Done()
		fmt.Println("told to stop")
		time.Sleep(linger) // what the flag asks for
		_ = server.Close()
	}()

	fmt.Println("serving")

	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}

	return nil
}

// routes answer with what is asked for, so that a test sees what a container sees.
func routes() http.Handler {
	mux := http.NewServeMux()

	var broken atomic.Bool

	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/break", func(http.ResponseWriter, *http.Request) { broken.Store(true) })
	mux.HandleFunc("/mend", func(http.ResponseWriter, *http.Request) { broken.Store(false) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(os.Environ()) })
	mux.HandleFunc("/id", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		_, _ = fmt.Fprintf(w, "pid=%d uid=%d gid=%d host=%s", os.Getpid(), os.Getuid(), os.Getgid(), host)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { serveFile(w, r.URL.Query().Get("path")) })
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(r.URL.Query().Get("path"), []byte("written"), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		os.Exit(code)
	})

	return mux
}

func serveFile(w http.ResponseWriter, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)

		return
	}

	_, _ = w.Write(content)
}
