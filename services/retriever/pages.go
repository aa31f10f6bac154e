package retriever

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/serinhq/serin/internal/dialguard"
)

// fetched is a page as it was answered.
type fetched struct {
	data      []byte
	format    format
	validator string
	// unchanged says that it is what the validator stands for, gone that there is none any more.
	unchanged, gone bool
}

// withinHost follows redirects that stay with whom the operator named.
func withinHost(request *http.Request, before []*http.Request) error {
	if len(before) >= 5 {
		return errors.New("more than 5 redirects")
	}

	first := before[0].URL

	switch {
	case request.URL.Hostname() != first.Hostname():
		return fmt.Errorf("it redirects to another host, %s: name that one's URL instead", request.URL.Host)
	case first.Scheme == "https" && request.URL.Scheme != "https":
		return fmt.Errorf("it redirects to %s, which is not encrypted", request.URL.Redacted())
	case request.URL.Port() != first.Port() && (request.URL.Scheme == first.Scheme || request.URL.Port() != ""):
		return fmt.Errorf("it redirects to another port, %s: name that one's URL instead", request.URL.Host)
	}

	return nil
}

// pageClients get pages: from anywhere on the internet, and from private networks, too.
type pageClients struct{ public, private *http.Client }

func newPageClients() pageClients {
	client := func(guard dialguard.Guard) *http.Client {
		transport := guard.Transport()
		transport.IdleConnTimeout = time.Minute

		return &http.Client{CheckRedirect: withinHost, Transport: transport}
	}

	return pageClients{public: client(dialguard.Guard{}), private: client(dialguard.Guard{AllowPrivate: true})}
}

func (c pageClients) of(page Page) *http.Client {
	if page.AllowPrivate {
		return c.private
	}

	return c.public
}

func (c pageClients) close() {
	c.public.CloseIdleConnections()
	c.private.CloseIdleConnections()
}

// fetch asks for a page, unless it is what the validator stands for.
func (s *Service) fetch(ctx context.Context, page Page, validator string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.PageTimeout)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.URL, nil)
	if err != nil {
		return fetched{}, fmt.Errorf("ask for it: %w", err)
	}

	request.Header.Set("Accept", "text/markdown, text/html, text/plain;q=0.9")
	request.Header.Set("User-Agent", "serin-retriever")

	if validator != "" {
		request.Header.Set("If-None-Match", validator)
	}

	response, err := s.pages.of(page).Do(request)
	if err != nil {
		return fetched{}, fmt.Errorf("ask for it: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // only read

	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return fetched{unchanged: true}, nil
	case http.StatusNotFound, http.StatusGone:
		return fetched{gone: true}, nil
	default:
		return fetched{}, fmt.Errorf("ask for it: %s", response.Status)
	}

	kind, err := formatOfType(response.Header.Get("Content-Type"), request.URL.Path)
	if err != nil {
		return fetched{}, err
	}

	data, err := io.ReadAll(io.LimitReader(response.Body, s.config.Limits.DocumentBytes+1))
	if err != nil {
		return fetched{}, fmt.Errorf("read it: %w", err)
	}

	return fetched{data: data, format: kind, validator: response.Header.Get("ETag")}, nil
}

// formatOfType tells a page's format by what its server says, and where that is just text, by its name.
func formatOfType(header, name string) (format, error) {
	kind, parameters, err := mime.ParseMediaType(header)
	if err != nil {
		return formatNone, fmt.Errorf("its content type is %q: want Markdown, text or HTML", header)
	}

	if charset := parameters["charset"]; charset != "" && charset != "utf-8" && charset != "UTF-8" && charset != "us-ascii" {
		return formatNone, fmt.Errorf("its character set is %q: want utf-8", charset)
	}

	switch kind {
	case "text/html", "application/xhtml+xml":
		return formatHTML, nil
	case "text/markdown", "text/x-markdown":
		return formatMarkdown, nil
	case "text/plain":
		if formatOfName(path.Base(name)) == formatMarkdown {
			return formatMarkdown, nil
		}

		return formatText, nil
	default:
		return formatNone, fmt.Errorf("its content type is %q: want Markdown, text or HTML", kind)
	}
}
