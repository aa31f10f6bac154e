package retriever

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// Config is what the service needs. Zero values are the defaults, but for Index and one of Folders and Pages.
type Config struct {
	// Index is the path of the index, a file that is made if it is missing. One process has it at a time. Required.
	Index string
	// Folders are read with all that is below them. Hidden files are not.
	Folders []Folder
	// Pages are documents that servers have.
	Pages []Page
	// Embeddings is where vectors come from; without a model, words alone count.
	Embeddings Embeddings
	// Limits bound what is kept.
	Limits Limits

	// Look is how often folders are looked through; default 5 s.
	Look time.Duration
	// Settle is how long a file must not have changed before it is read, so that a half-written one is not; default 1 s.
	Settle time.Duration
	// Refresh is how often pages are asked for again; default 5 min.
	Refresh time.Duration
	// PageTimeout is how long a page may take; default 30 s.
	PageTimeout time.Duration
	// Telemetry defaults to one that discards.
	Telemetry *telemetry.Telemetry
}

// Folder is a folder of documents.
type Folder struct {
	// Name begins the names of its documents: handbook makes handbook/refunds.md.
	Name string
	// Path is where it is. Links that lead out of it are not followed.
	Path string
}

// Page is a document that a server has.
type Page struct {
	// URL is where it is, http or https. Redirects are followed within its host, and never from https to http.
	URL string
	// AllowPrivate lets it be on this machine or in a private network; else such an address is refused, whatever its name.
	AllowPrivate bool
}

func (c Config) hasPage(address string) bool {
	return slices.ContainsFunc(c.Pages, func(page Page) bool { return page.URL == address })
}

// Embeddings is an OpenAI-compatible endpoint.
type Embeddings struct {
	// BaseURL is the API's root, such as http://127.0.0.1:7070/v1.
	BaseURL string
	// Model is the embedding model; empty for none.
	Model string
	// HTTPClient defaults to one without a timeout.
	HTTPClient *http.Client
	// Timeout is how long a batch of passages may take; default 30 s.
	Timeout time.Duration
	// QueryTimeout is how long a query's vector is waited for, and never for more than half of the caller's deadline; default
	// 800 ms.
	QueryTimeout time.Duration
	// Cooldown is how long after a failure queries do without; default 2 s. Passages wait from it up to 30 s.
	Cooldown time.Duration
	// Reconsider is when a passage that the endpoint refused is tried again; default 10 min.
	Reconsider time.Duration
}

// Limits bound disk and memory. What goes beyond is refused by its name, and told by ListDocuments.
type Limits struct {
	// DocumentBytes is the largest document; default 2 MiB.
	DocumentBytes int64
	// Documents is how many there may be; default 5,000.
	Documents int
	// Passages is how many there may be in all; default 20,000. Each has a vector in memory: 6 KiB at 1,536 dimensions.
	Passages int
	// Bytes is how much text passages may have in all; default 64 MiB.
	Bytes int64
	// PassageBytes is the largest passage, from 200 up; default 1,200.
	PassageBytes int
}

// maxDimensions bounds a vector.
const maxDimensions = 4096

func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, err
	}

	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	if c.Embeddings.HTTPClient == nil {
		c.Embeddings.HTTPClient = &http.Client{}
	}

	orDefault(&c.Look, 5*time.Second)
	orDefault(&c.Settle, time.Second)
	orDefault(&c.Refresh, 5*time.Minute)
	orDefault(&c.PageTimeout, 30*time.Second)
	orDefault(&c.Embeddings.Timeout, 30*time.Second)
	orDefault(&c.Embeddings.QueryTimeout, 800*time.Millisecond)
	orDefault(&c.Embeddings.Cooldown, 2*time.Second)
	orDefault(&c.Embeddings.Reconsider, 10*time.Minute)
	orDefault(&c.Limits.DocumentBytes, 2<<20)
	orDefault(&c.Limits.Documents, 5_000)
	orDefault(&c.Limits.Passages, 20_000)
	orDefault(&c.Limits.Bytes, 64<<20)
	orDefault(&c.Limits.PassageBytes, 1_200)

	return c, nil
}

func orDefault[T int | int64 | time.Duration](value *T, standard T) {
	if *value == 0 {
		*value = standard
	}
}

// validate returns a fault that names each bad field.
func (c Config) validate() error {
	var found []fault.Violation

	add := func(field, format string, args ...any) {
		found = append(found, fault.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
	}

	if c.Index == "" {
		add("index", `"": must be the path of a file on a volume that outlives the process`)
	}

	if len(c.Folders)+len(c.Pages) == 0 {
		add("folders", "none, and no pages: must be where the documents are")
	}

	c.validateSources(add)

	if base, err := url.Parse(c.Embeddings.BaseURL); c.Embeddings.Model != "" && (err != nil || base.Host == "") {
		add("embeddings.baseURL", "%q: must be the root of an OpenAI-compatible API, such as http://127.0.0.1:7070/v1", c.Embeddings.BaseURL)
	}

	if most := c.Limits.PassageBytes; most != 0 && most < 200 {
		add("limits.passageBytes", "%d: must be at least 200", most)
	}

	for field, value := range map[string]int64{
		"limits.documentBytes": c.Limits.DocumentBytes, "limits.documents": int64(c.Limits.Documents),
		"limits.passages": int64(c.Limits.Passages), "limits.bytes": c.Limits.Bytes,
		"look": int64(c.Look), "settle": int64(c.Settle), "refresh": int64(c.Refresh), "pageTimeout": int64(c.PageTimeout),
		"embeddings.timeout": int64(c.Embeddings.Timeout), "embeddings.queryTimeout": int64(c.Embeddings.QueryTimeout),
		"embeddings.cooldown": int64(c.Embeddings.Cooldown), "embeddings.reconsider": int64(c.Embeddings.Reconsider),
	} {
		if value < 0 {
			add(field, "%d: must not be negative", value)
		}
	}

	if len(found) > 0 {
		return fault.Invalid(found...)
	}

	return nil
}

func (c Config) validateSources(add func(field, format string, args ...any)) {
	seen := map[string]bool{}

	for i, folder := range c.Folders {
		field := fmt.Sprintf("folders[%d]", i)

		switch {
		case folder.Name == "" || path.Clean(folder.Name) != folder.Name || strings.HasPrefix(folder.Name, ".."):
			add(field+".name", "%q: must be a path such as handbook or docs/handbook", folder.Name)
		case seen[folder.Name]:
			add(field+".name", "%q: another folder has the same name", folder.Name)
		case !filepath.IsAbs(folder.Path):
			add(field+".path", "%q: must be an absolute path", folder.Path)
		}

		seen[folder.Name] = true
	}

	for i, page := range c.Pages {
		field := fmt.Sprintf("pages[%d].url", i)

		parsed, err := url.Parse(page.URL)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			add(field, "%q: must be a URL such as https://docs.example.com/refunds.html", page.URL)
		} else if seen[page.URL] {
			add(field, "%q: given twice", page.URL)
		}

		seen[page.URL] = true
	}
}
